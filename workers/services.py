"""The composition root: the only place that makes clients, pools and readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

import uvloop
from celery import Celery

from db.database import Database, open_database
from docmill.llm.cache import TwoLayerCache
from docmill.llm.limiter import RedisLimiter
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.net.webhook import Teller
from docmill.reading import Reader
from docmill.reading.drawn import DrawnPages
from docmill.settings import Settings
from docmill.tracing import OtelTracer, Tracer
from tasks.calls.room import Room
from tasks.celery import broker
from tasks.chain import publish
from tasks.services import Caller, Services, Telling
from tasks.times import StageTimes
from workers.registry import registry_of, warm_up

__all__ = [
    "api_services",
    "asking_services",
    "cpu_services",
    "io_services",
    "open_cache",
    "open_caller",
    "open_limiter",
]

IO_CONNECTIONS = 10
"""To the database, a process: none is held while a model thinks."""
LOCK_TIMEOUT_S = 30.0
"""A statement that waits longer fails, and its message comes again: a locked table holds no thread for ever."""
API_TIMEOUT_S, API_STATEMENT_TIMEOUT_S = 5.0, 30.0
"""Whoever asks is told after seconds that the database is busy: what waits holds a thread and a connection."""

API_READS_S = 15.0
"""Within which a page is drawn for somebody who looks at it."""


@contextmanager
def io_services(settings: Settings, *, owner: str, celery: Celery) -> Iterator[Services]:
    """Makes what context, complete and store need: a database, and a loop thread that calls models."""
    with ExitStack() as stack:
        registry = registry_of(settings)
        warm_up(registry)
        database = stack.enter_context(_worker_database(settings, IO_CONNECTIONS))
        tracer = _tracer(stack, settings, owner)
        yield Services(
            settings=settings,
            database=database,
            times=_times(stack, database),
            owner_database=stack.enter_context(open_database(settings.owner_url, pool_size=1, probe=False)),
            registry=registry,
            publish=publish,
            owner=owner,
            broker_began_anew=partial(broker.began_anew, celery),
            limiter=stack.enter_context(open_limiter(settings)),
            cache=stack.enter_context(open_cache(settings)),
            caller=_caller(stack, tracer),
            tracer=tracer,
            telling=_telling(stack, settings),
            pages=_pages(stack, settings),
            room=Room(settings.picture_bytes),
        )


@contextmanager
def cpu_services(settings: Settings, *, owner: str) -> Iterator[Services]:
    """Makes what validate and parse need: a database, and a reader of files. One task at a time."""
    with ExitStack() as stack:
        database = stack.enter_context(_worker_database(settings, 2))
        reader = stack.enter_context(Reader(settings.reading_limits))
        yield Services(
            settings=settings,
            database=database,
            times=_times(stack, database),
            tracer=_tracer(stack, settings, owner),
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            reader=reader,
        )


@contextmanager
def asking_services(settings: Settings, *, owner: str, database: Database | None = None) -> Iterator[Services]:
    """Makes what a person's question needs: a database, and a loop thread that calls embedding models."""
    with ExitStack() as stack:
        tracer = _tracer(stack, settings, owner)
        yield Services(
            settings=settings,
            database=database or stack.enter_context(open_database(settings.need("database_url"), pool_size=2)),
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            limiter=stack.enter_context(open_limiter(settings)),
            caller=_caller(stack, tracer),
            tracer=tracer,
        )


@contextmanager
def api_services(settings: Settings, *, owner: str) -> Iterator[Services]:
    """Makes what routes work with; calls go out for questions alone. Raises Misconfigured, ServiceAway."""
    impatient = open_database(
        settings.need("database_url"),
        pool_timeout_s=API_TIMEOUT_S,
        lock_timeout_s=API_TIMEOUT_S,
        statement_timeout_s=API_STATEMENT_TIMEOUT_S,
    )
    with (
        impatient as database,
        Reader(replace(settings.reading_limits, timeout_s=API_READS_S)) as reader,
        asking_services(settings, owner=owner, database=database) as services,
        open_cache(settings) as cache,
    ):
        yield replace(services, reader=reader, cache=cache)


@contextmanager
def open_cache(settings: Settings) -> Iterator[TwoLayerCache]:
    """Opens the answers that are remembered, and closes them."""
    cache = TwoLayerCache(settings.need("cache_url"))
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def open_limiter(settings: Settings) -> Iterator[RedisLimiter]:
    """Opens the limits that the fleet shares, and closes them."""
    limiter = RedisLimiter(settings.need("cache_url"))
    try:
        yield limiter
    finally:
        limiter.close()


def _worker_database(settings: Settings, connections: int) -> AbstractContextManager[Database]:
    """Not probed: a worker that starts while the database is away must live until it is back."""
    url = settings.need("database_url")
    return open_database(url, pool_size=connections, probe=False, lock_timeout_s=LOCK_TIMEOUT_S)


def _pages(stack: ExitStack, settings: Settings) -> DrawnPages:
    """Its process starts when the first page is drawn."""
    pages = DrawnPages(Reader(settings.reading_limits))
    stack.callback(pages.close)
    return pages


@contextmanager
def open_caller() -> Iterator[Caller]:
    """Opens the loop on which models are called, without anything else of a stack."""
    with ExitStack() as stack:
        yield _caller(stack)


def _caller(stack: ExitStack, tracer: Tracer | None = None) -> Caller:
    loop = stack.enter_context(LoopThread(uvloop.new_event_loop))
    transport = HttpTransport()
    stack.callback(lambda: loop.run(transport.close()))
    return Caller(loop=loop, transport=transport, tracer=tracer)


def _tracer(stack: ExitStack, settings: Settings, owner: str) -> Tracer | None:
    """Each process tells for itself. Raises Misconfigured where OpenTelemetry is missing."""
    if settings.traces_url is None:
        return None
    tracer = OtelTracer(settings.traces_url, owner=owner, content=settings.trace_content)
    stack.callback(tracer.close)
    return tracer


def _times(stack: ExitStack, database: Database) -> StageTimes:
    times = StageTimes(database=database)
    stack.callback(times.tell)
    return times


def _telling(stack: ExitStack, settings: Settings) -> Telling:
    """On asyncio's own loop, which looks names up in threads of its own: uvloop's share one pool in a process."""
    loop = stack.enter_context(LoopThread())
    teller = Teller(private_hosts=settings.private_webhook_hosts)
    stack.callback(lambda: loop.run(teller.close()))
    return Telling(loop=loop, teller=teller)
