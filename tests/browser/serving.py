"""The API in this process, on a port of its own, for a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from sqlalchemy import Engine

from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from web.app import make_app
from web.fleet import Fleet

__all__ = ["serving"]


@contextmanager
def serving(engine: Engine) -> Iterator[str]:
    """Its address."""
    services = Services(
        settings=Settings(), database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api"
    )
    app = make_app(services, host="127.0.0.1", fleet=Fleet(start=lambda: None, check=lambda: None))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()
