"""Who may ask, for which tenant, and for what."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer

import db.database
from db import keys
from db.budget_admin import Budget
from web.problems import Problem
from web.proxies import FORWARDED, Address, address_of, authority, is_loopback

__all__ = [
    "BEARER",
    "OWN_SITE",
    "Asking",
    "Caller",
    "Database",
    "Operating",
    "Reading",
    "Scope",
    "Tenant",
    "check_own_page",
    "cookie_of",
    "is_loopback",
    "seen_address",
]

BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="A key of `docmill keys add`")
CHALLENGE = {"www-authenticate": 'Bearer, Basic realm="docmill, with a key as the password"'}
READING = frozenset({"GET", "HEAD"})
OWN_SITE = ("none", "same-origin")
HERE = "somebody at this machine"
"""The author of what is decided without a key."""

Scope = Literal["submit", "read", "review", "operate", "money", "admin"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whoever asks."""

    tenant: str
    name: str
    """As the author of decisions."""
    scopes: frozenset[str]
    signed_in: bool = False
    """By a session, which can be ended."""

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def sees(self, budget: Budget) -> bool:
        """Whether a budget is the caller's: those of all tenants together are for whoever looks after all."""
        return self.may("admin") or (budget.scope == "tenant" and budget.subject == self.tenant)

    def check(self, scope: Scope) -> None:
        """Raises Problem where the scope is missing."""
        if not self.may(scope):
            raise Problem(
                403,
                f"the key of {self.name} may not {keys.SCOPES[scope]}: it lacks the scope {scope} "
                f"(`docmill keys add --scopes` makes one that has it)",
            )


async def the_database(request: Request) -> db.database.Database:
    database: db.database.Database = request.app.state.database
    return database


Database = Annotated[db.database.Database, Depends(the_database)]


async def caller(request: Request, database: Database) -> Caller:
    """Whoever asks; without a key somebody of the default tenant, if only this machine can ask at all.

    What browsers send by themselves (a password, a session) is no sign that its owner asks: another site may have
    made them.
    """
    shown = _shown(request)
    foreign = _foreign(request, with_key=shown is not None)
    if foreign is not None and (shown is None or not shown.is_deliberate):
        raise Problem(401, f"{foreign}: a key is needed as a bearer; `docmill keys add` makes one", CHALLENGE)
    if shown is None:
        if request.app.state.keys_needed:
            raise Problem(401, "a key is needed: `docmill keys add` makes one", CHALLENGE)
        found = Caller(tenant="default", name=HERE, scopes=frozenset(keys.SCOPES))
    else:
        found = await _known(request, database, shown)
    request.state.caller = found
    return found


Asking = Annotated[Caller, Depends(caller)]


async def _known(request: Request, database: db.database.Database, shown: Shown) -> Caller:
    is_session = shown.kind == "session"
    if is_session and request.method not in READING:
        check_own_page(request)
    holder = await run_in_threadpool(
        database.run, keys.session_of if is_session else keys.holder_of, shown.written
    )
    if holder is None and is_session:
        gone = f"{cookie_of(seen_address(request))}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"
        raise Problem(401, "the session is over: show a key again", {**CHALLENGE, "set-cookie": gone})
    if holder is None:
        raise Problem(401, "the key is not valid, or was revoked", CHALLENGE)
    return Caller(tenant=holder.tenant, name=holder.name, scopes=holder.scopes, signed_in=is_session)


def _may(scope: Scope) -> Callable[[Caller], Awaitable[str]]:
    async def tenant(asking: Asking) -> str:
        asking.check(scope)
        return asking.tenant

    return tenant


async def tenant(request: Request, asking: Asking) -> str:
    """The caller's tenant. Who only looks needs to be allowed to read, any other to submit."""
    asking.check("read" if request.method in READING else "submit")
    return asking.tenant


Tenant = Annotated[str, Depends(tenant)]
Reading = Annotated[str, Depends(_may("read"))]
"""The tenant of a caller who may read, whatever the method."""
Operating = Annotated[str, Depends(_may("operate"))]
"""The tenant of a caller who may act on jobs."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a caller shows."""

    written: str
    kind: Literal["bearer", "password", "session"]

    @property
    def is_deliberate(self) -> bool:
        """Browsers send the others by themselves."""
        return self.kind == "bearer"


def _shown(request: Request) -> Shown | None:
    """None without one. Programs that know only names and passwords may read with those, too."""
    kind, _, credentials = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic" and request.method in READING:
        return Shown(written=_password(credentials), kind="password")
    if kind:
        return Shown(written=credentials.strip() if kind.lower() == "bearer" else "", kind="bearer")
    token = request.cookies.get(cookie_of(seen_address(request)))
    return None if token is None else Shown(written=token, kind="session")


def _password(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def seen_address(request: Request) -> Address:
    """Returns where the request was sent, as its browser has it."""
    return address_of(request, request.app.state.settings.proxies)


def cookie_of(address: Address) -> str:
    """The name of a session's cookie. Over TLS a browser takes one so named from this very host alone.

    Without TLS cookies are shared by all ports of a host, and another stack may run at another one.
    """
    return "__Host-docmill" if address.scheme == "https" else f"docmill-{authority(address.authority)[1] or 80}"


def check_own_page(request: Request) -> None:
    """Raises Problem for a form that a page of another site sent. A browser that says nothing of it is refused."""
    headers, address = request.headers, seen_address(request)
    site = headers.get("sec-fetch-site")
    own = headers.get("origin") == f"{address.scheme}://{address.authority}"
    if site != "same-origin" if site is not None else not own:
        raise Problem(403, "a form of another web site asks: do it on docmill's own page")


def _foreign(request: Request, *, with_key: bool) -> str | None:
    """Why somebody else may ask: another web site, or, where no key says who, one behind a proxy or a name."""
    headers, address = request.headers, seen_address(request)
    if headers.get("sec-fetch-site", "none") not in OWN_SITE and not _is_page(request):
        return "another web site asks"
    if "origin" in headers and authority(headers["origin"].partition("//")[2]) != authority(address.authority):
        return "a page of another web site asks"
    if with_key or request.app.state.keys_needed:
        return None
    if not is_loopback(authority(headers.get("host", ""))[0]):
        return "the request is for another machine by its Host"
    forwarded = next((name for name in FORWARDED if name in headers), None)
    return None if forwarded is None else f"the request came through a proxy, as its {forwarded} says"


def _is_page(request: Request) -> bool:
    """Anybody may link to a page: it only shows, to whoever sits here, and no other site can read it."""
    return request.method in READING and not request.url.path.startswith(("/v1/", "/metrics"))
