"""Who may ask, and for which tenant."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine

from db import keys
from web.problems import Problem

__all__ = ["Database", "Tenant", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def database(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


Database = Annotated[Engine, Depends(database)]


def tenant(request: Request, engine: Database) -> str:
    """The tenant of the bearer's key; without a key the default one, if only this machine can ask at all."""
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if not key:
        if request.app.state.keys_needed:
            raise Problem(401, "a key is needed: `docmill keys add` makes one", {"www-authenticate": "Bearer"})
        return "default"
    with engine.connect() as connection:
        found = keys.tenant_of(connection, key.strip()) if kind.lower() == "bearer" else None
    if found is None:
        raise Problem(401, "the key is not valid, or was revoked", {"www-authenticate": "Bearer"})
    return found


Tenant = Annotated[str, Depends(tenant)]
