"""Who may ask, and for which tenant."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer

import db.database
from db import keys
from web.problems import Problem

__all__ = ["BEARER", "Database", "Tenant", "is_loopback"]

BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `docmill keys add`")
CHALLENGE = {"www-authenticate": 'Bearer, Basic realm="docmill, with a key as the password"'}
READING = frozenset({"GET", "HEAD"})
OWN_SITE = ("none", "same-origin")
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers of proxies. One before an API that listens on loopback alone lets everybody in."""


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def the_database(request: Request) -> db.database.Database:
    database: db.database.Database = request.app.state.database
    return database


Database = Annotated[db.database.Database, Depends(the_database)]


async def tenant(request: Request, database: Database) -> str:
    """The tenant of the caller's key; without a key the default one, if only this machine can ask at all.

    A password that browsers send by themselves is no sign that its owner asks: another site may have made them.
    """
    key = _key(request)
    foreign = _foreign(request, with_key=key is not None)
    if foreign is not None and (key is None or not key.is_deliberate):
        raise Problem(401, f"{foreign}: a key is needed as a bearer; `docmill keys add` makes one", CHALLENGE)
    if key is None:
        if request.app.state.keys_needed:
            raise Problem(401, "a key is needed: `docmill keys add` makes one", CHALLENGE)
        return "default"
    found = await run_in_threadpool(database.run, keys.tenant_of, key.written)
    if found is None:
        raise Problem(401, "the key is not valid, or was revoked", CHALLENGE)
    return found


Tenant = Annotated[str, Depends(tenant)]


@dataclass(frozen=True, kw_only=True)
class Key:
    """What a caller shows."""

    written: str
    is_deliberate: bool
    """False for a browser's password."""


def _key(request: Request) -> Key | None:
    """None without one. Browsers know only names and passwords, so reading takes that too."""
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    if kind.lower() == "basic" and request.method in READING:
        return Key(written=_password(credentials), is_deliberate=False)
    return Key(written=credentials.strip() if kind.lower() == "bearer" else "", is_deliberate=True)


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _foreign(request: Request, *, with_key: bool) -> str | None:
    """Why somebody else may ask: another web site, or, where no key says who, one behind a proxy or a name."""
    headers = request.headers
    if headers.get("sec-fetch-site", "none") not in OWN_SITE and not _is_page(request):
        return "another web site asks"
    if "origin" in headers and _authority(headers["origin"].partition("//")[2]) != _authority(_host(request)):
        return "a page of another web site asks"
    if with_key or request.app.state.keys_needed:
        return None
    if not is_loopback(_authority(_host(request))[0]):
        return "the request is for another machine by its Host"
    forwarded = next((name for name in FORWARDED if name in headers), None)
    return None if forwarded is None else f"the request came through a proxy, as its {forwarded} says"


def _is_page(request: Request) -> bool:
    """Anybody may link to a page: it only shows, to whoever sits here, and no other site can read it."""
    return request.method in READING and not request.url.path.startswith(("/v1/", "/metrics"))


def _host(request: Request) -> str:
    return request.headers.get("host", "")


def _authority(written: str) -> tuple[str, int | None]:
    """Host and port; an empty host for what is none, or says who asks."""
    try:
        parts = urlsplit(f"//{written}")
        return ("", None) if "@" in written else (parts.hostname or "", parts.port)
    except ValueError:
        return "", None
