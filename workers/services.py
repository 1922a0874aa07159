"""The composition root: the only place that makes clients, pools and readers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import structlog
import uvloop
from celery import Celery

from db.database import open_database
from docmill.errors import PromptBroken
from docmill.llm.cache import TwoLayerCache
from docmill.llm.limiter import RedisLimiter
from docmill.llm.loop import LoopThread
from docmill.llm.tokens import counter_for
from docmill.llm.transport import HttpTransport
from docmill.reading import Reader
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery import broker
from tasks.chain import publish
from tasks.services import Caller, Services

__all__ = ["asking_services", "cpu_services", "io_services"]

log = structlog.get_logger()

IO_CONNECTIONS = 10
"""To the database, a process: none is held while a model thinks."""
LOCK_TIMEOUT_S = 30.0
"""A statement that waits longer fails, and its message comes again: a locked table holds no thread for ever."""


@contextmanager
def io_services(settings: Settings, *, owner: str, celery: Celery) -> Iterator[Services]:
    """What context, complete and store need: a database, and a loop thread that calls models."""
    with ExitStack() as stack:
        registry = registry_of(settings)
        _warm_up(registry)
        # Not probed, here and below: a worker that starts while the database is away must live until it is back.
        database = stack.enter_context(
            open_database(
                settings.need("database_url"), pool_size=IO_CONNECTIONS, probe=False, lock_timeout_s=LOCK_TIMEOUT_S
            )
        )
        owner_database = stack.enter_context(open_database(settings.owner_url, pool_size=1, probe=False))
        loop = stack.enter_context(LoopThread(uvloop.new_event_loop))
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        limiter = RedisLimiter(settings.need("cache_url"))
        stack.callback(limiter.close)
        cache = TwoLayerCache(settings.need("cache_url"))
        stack.callback(cache.close)
        yield Services(
            settings=settings,
            database=database,
            owner_database=owner_database,
            registry=registry,
            publish=publish,
            owner=owner,
            broker_began_anew=partial(broker.began_anew, celery),
            limiter=limiter,
            cache=cache,
            caller=Caller(loop=loop, transport=transport),
        )


@contextmanager
def cpu_services(settings: Settings, *, owner: str) -> Iterator[Services]:
    """What validate and parse need: a database, and a reader of files. One task at a time."""
    with ExitStack() as stack:
        database = stack.enter_context(
            open_database(settings.need("database_url"), pool_size=2, probe=False, lock_timeout_s=LOCK_TIMEOUT_S)
        )
        yield Services(
            settings=settings,
            database=database,
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            reader=stack.enter_context(Reader(settings.reading_limits)),
        )


@contextmanager
def asking_services(settings: Settings, *, owner: str) -> Iterator[Services]:
    """What a person's question needs: a database, and a loop thread that calls embedding models."""
    with ExitStack() as stack:
        database = stack.enter_context(open_database(settings.need("database_url"), pool_size=2))
        loop = stack.enter_context(LoopThread(uvloop.new_event_loop))
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        limiter = RedisLimiter(settings.need("cache_url"))
        stack.callback(limiter.close)
        yield Services(
            settings=settings,
            database=database,
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            limiter=limiter,
            caller=Caller(loop=loop, transport=transport),
        )


def registry_of(settings: Settings) -> Registry:
    return Registry([BUILT_IN, *settings.prompt_folders])


def _warm_up(registry: Registry) -> None:
    """Loads what the first hundred tasks would else load side by side."""
    counter_for("sim-small").count("")
    for name in registry.names():
        for version in registry.versions(name):
            try:
                _ = registry.get(name, version).schema
            except PromptBroken as error:
                log.error("prompt_broken", error=str(error))
