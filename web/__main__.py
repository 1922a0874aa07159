"""``python -m web``: the HTTP API and the pages, on one port."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import uvicorn

from db.database import open_database
from docmill.errors import DocmillError
from docmill.llm.limiter import RedisLimiter
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.logs import configure_logs
from docmill.settings import Settings, load_settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.celery import broker, redis_transport
from tasks.chain import publish
from tasks.services import Caller, Services
from tasks.upkeep.tick import start_waiting
from web.app import make_app
from web.connections import BoundedProtocol, raise_file_limit
from web.fleet import Fleet, Starter, running

# Whoever asks is told after seconds that the database is busy: what waits holds a thread and a connection.
POOL_TIMEOUT_S, LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S = 5.0, 5.0, 30.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure_logs(settings)
        raise_file_limit()
        redis_transport.register()
        celery = broker.connect(settings)
        made = ExitStack()
        services = made.enter_context(_services(settings))
    except DocmillError as error:
        sys.exit(f"docmill: {error}")
    with made, running(Starter(partial(start_waiting, services))) as starter:
        fleet = Fleet(start=starter.wake, check=partial(broker.check, celery))
        app = make_app(services, host=arguments.host, fleet=fleet)
        uvicorn.run(
            app,
            host=arguments.host,
            port=arguments.port,
            http=BoundedProtocol,
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
        )


@contextmanager
def _services(settings: Settings) -> Iterator[Services]:
    """What routes work with; calls go out for vectors of questions alone. Raises Misconfigured, ServiceAway."""
    with ExitStack() as stack:
        database = stack.enter_context(
            open_database(
                settings.need("database_url"),
                pool_timeout_s=POOL_TIMEOUT_S,
                lock_timeout_s=LOCK_TIMEOUT_S,
                statement_timeout_s=STATEMENT_TIMEOUT_S,
            )
        )
        loop = stack.enter_context(LoopThread())
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        limiter = RedisLimiter(settings.need("cache_url"))
        stack.callback(limiter.close)
        yield Services(
            settings=settings,
            database=database,
            registry=Registry([BUILT_IN, *settings.prompt_folders]),
            publish=publish,
            owner=f"api@{socket.gethostname()}:{os.getpid()}",
            limiter=limiter,
            caller=Caller(loop=loop, transport=transport),
        )


main()
