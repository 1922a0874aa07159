"""Who may ask, and for which tenant."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer
from sqlalchemy import Engine

from db import keys
from web.problems import Problem

__all__ = ["BEARER", "Database", "Tenant", "is_loopback"]

BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `docmill keys add`")
CHALLENGE = {"www-authenticate": 'Bearer, Basic realm="docmill, with a key as the password"'}
READING = frozenset({"GET", "HEAD"})


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def database(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


Database = Annotated[Engine, Depends(database)]


async def tenant(request: Request, engine: Database) -> str:
    """The tenant of the caller's key; without a key the default one, if only this machine can ask at all."""
    key = _key(request)
    if key is None:
        if request.app.state.keys_needed or _is_foreign(request):
            raise Problem(401, "a key is needed: `docmill keys add` makes one", CHALLENGE)
        return "default"
    found = await run_in_threadpool(_tenant_of, engine, key)
    if found is None:
        raise Problem(401, "the key is not valid, or was revoked", CHALLENGE)
    return found


Tenant = Annotated[str, Depends(tenant)]


def _tenant_of(engine: Engine, key: str) -> str | None:
    with engine.connect() as connection:
        return keys.tenant_of(connection, key)


def _key(request: Request) -> str | None:
    """The bearer's key; None without one. Browsers know only names and passwords, so reading takes that too."""
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    if kind.lower() == "basic" and request.method in READING:
        return _password(credentials)
    return credentials.strip() if kind.lower() == "bearer" else ""


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_foreign(request: Request) -> bool:
    """Whether another web site makes a browser on this machine ask: by a form, or by a name of its own for it."""
    sent_by = request.headers.get("sec-fetch-site", "none")
    by_a_form = request.method not in READING and sent_by not in ("none", "same-origin")
    return by_a_form or not is_loopback(_host(request))


def _host(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""
