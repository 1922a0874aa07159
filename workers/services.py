"""The composition root: which process has which clients, pools and readers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial

from celery import Celery

from db.database import Database, open_database
from db.stages import stages_where
from docmill.processes import hide
from docmill.reading import Reader
from docmill.reading.drawn import DrawnPages
from docmill.settings import Settings
from tasks.apart.judge import JudgeApart
from tasks.calls.room import Room
from tasks.celery import broker
from tasks.chain import publish
from tasks.services import Hurry, Services
from tasks.times import StageTimes
from workers.clients import make_caller, make_telling, make_tracer, open_cache, open_limiter
from workers.registry import registry_of, warm_up
from workers.roles import environment_for

__all__ = ["api_services", "asking_services", "cpu_services", "io_services"]

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
    """Makes what context, complete and store need: a database, and a loop thread that calls models.

    The processes that read short documents and judge their replies start with the first of these.
    """
    with ExitStack() as stack:
        registry = registry_of(settings)
        warm_up(registry)
        database = stack.enter_context(_worker_database(settings, IO_CONNECTIONS))
        tracer = make_tracer(stack, settings, owner)
        given = _of_no_settings(settings)
        hide(os.environ.keys() - given.keys())  # a prompt's own code could look for its parent's
        judge = stack.enter_context(JudgeApart(registry, given))
        yield Services(
            settings=settings,
            database=database,
            times=_times(stack, database),
            owner_database=stack.enter_context(open_database(settings.owner_url, pool_size=1, probe=False)),
            registry=registry,
            publish=publish,
            owner=owner,
            goes_on_with=[*stages_where(lambda rules: rules.role == "io"), "parse"],
            reader=stack.enter_context(Reader(replace(settings.reading_limits, texts_only=True))),
            hurry=Hurry(begins=judge.get_ready),
            judge=judge,
            broker_began_anew=partial(broker.began_anew, celery),
            limiter=stack.enter_context(open_limiter(settings, owner=owner)),
            cache=stack.enter_context(open_cache(settings)),
            caller=make_caller(stack, tracer),
            tracer=tracer,
            telling=make_telling(stack, settings),
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
            tracer=make_tracer(stack, settings, owner),
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            goes_on_with=stages_where(lambda rules: rules.anywhere),
            cache=stack.enter_context(open_cache(settings)),
            reader=reader,
        )


@contextmanager
def asking_services(settings: Settings, *, owner: str, database: Database | None = None) -> Iterator[Services]:
    """Makes what a person's question needs: a database, and a loop thread that calls embedding models."""
    with ExitStack() as stack:
        tracer = make_tracer(stack, settings, owner)
        yield Services(
            settings=settings,
            database=database or stack.enter_context(open_database(settings.need("database_url"), pool_size=2)),
            registry=registry_of(settings),
            publish=publish,
            owner=owner,
            limiter=stack.enter_context(open_limiter(settings, owner=owner)),
            caller=make_caller(stack, tracer),
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


def _worker_database(settings: Settings, connections: int) -> AbstractContextManager[Database]:
    """Not probed: a worker that starts while the database is away must live until it is back."""
    url = settings.need("database_url")
    return open_database(url, pool_size=connections, probe=False, lock_timeout_s=LOCK_TIMEOUT_S)


def _pages(stack: ExitStack, settings: Settings) -> DrawnPages:
    """Its process starts when the first page is drawn."""
    pages = DrawnPages(Reader(settings.reading_limits))
    stack.callback(pages.close)
    return pages


def _of_no_settings(settings: Settings) -> dict[str, str]:
    """What prompts' own code is given: the environment of who computes, which has no keys, but for docmill's."""
    given = environment_for("cpu", settings, os.environ)
    return {name: value for name, value in given.items() if not name.startswith("DOCMILL_")}


def _times(stack: ExitStack, database: Database) -> StageTimes:
    times = StageTimes(database=database)
    stack.callback(times.tell)
    return times
