"""Whether what a stack has started, or was given, answers."""

from __future__ import annotations

import socket

import httpx
import redis
from sqlalchemy.exc import SQLAlchemyError

from db.database import open_database
from db.fleet import seen
from docmill.errors import ServiceAway
from workers.stack.process import NotReady

__all__ = ["check_cache", "check_http", "check_worker"]


def check_cache(url: str) -> None:
    """Raises ServiceAway where the server does not answer; no message shows the password."""
    try:
        with redis.Redis.from_url(url.replace("redis+socket://", "unix://"), socket_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise ServiceAway(
            f"the cache does not answer ({type(error).__name__}): start it, or mend DOCMILL_CACHE_URL"
        ) from error


def check_http(url: str) -> None:
    """Raises NotReady until the address answers 200."""
    try:
        answer = httpx.get(url, timeout=2)
    except httpx.HTTPError as error:
        raise NotReady from error
    if answer.status_code != httpx.codes.OK:
        raise NotReady


def check_worker(database_url: str, node: str, *, within_s: float) -> None:
    """Raises NotReady until the fleet has seen this host's worker of that name, within so long."""
    try:
        with open_database(database_url, pool_size=1, probe=False) as database:
            names = {worker for worker, _, _ in database.run(seen, within_s=within_s)}
    except SQLAlchemyError as error:
        raise NotReady from error
    if f"{node}@{socket.gethostname()}" not in names:
        raise NotReady
