"""``python -m web``: the HTTP API and the pages, on one port."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from contextlib import ExitStack
from functools import partial

import uvicorn

from docmill.errors import DocmillError
from docmill.logs import configure_logs
from docmill.processes import raise_file_limit
from docmill.settings import load_settings
from tasks.celery import broker, redis_transport
from tasks.upkeep.tick import start_waiting
from web.app import make_app
from web.connections import BoundedProtocol
from web.fleet import Fleet, Starter, running
from workers.services import api_services


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
        services = made.enter_context(api_services(settings, owner=f"api@{socket.gethostname()}:{os.getpid()}"))
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
            proxy_headers=False,  # web/proxies.py knows whom to believe
        )


main()
