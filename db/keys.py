"""Keys of the HTTP API: shown once, kept as a hash, each with its tenant."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from db.statements import statements_of
from db.tables import api_keys
from docmill.errors import Misconfigured

__all__ = ["Key", "add", "listed", "revoke", "tenant_of"]

SQL = statements_of("keys")

PREFIX = "dm"


@dataclass(frozen=True, kw_only=True)
class Key:
    """What is known of a key; not the key."""

    id: str
    tenant: str
    created_at: datetime
    revoked_at: datetime | None


def add(connection: Connection, tenant: str) -> str:
    """A new key, which is shown this once."""
    name, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    SQL["add"].count(connection, {"id": name, "hash": _hash(secret), "tenant": tenant})
    return f"{PREFIX}_{name}_{secret}"


def tenant_of(connection: Connection, key: str) -> str | None:
    """The tenant of a key that is valid; None for any other."""
    if not (key.isascii() and key.isprintable()):
        return None
    prefix, _, rest = key.partition("_")
    name, _, secret = rest.partition("_")
    row = SQL["valid"].first(connection, {"id": name})
    if prefix != PREFIX or row is None or not secrets.compare_digest(row.hash, _hash(secret)):
        return None
    return str(row.tenant)


def listed(connection: Connection) -> list[Key]:
    """Every key, the oldest first."""
    columns = api_keys.c
    rows = connection.execute(
        select(columns.id, columns.tenant, columns.created_at, columns.revoked_at).order_by(columns.created_at)
    )
    return [Key(**row) for row in rows.mappings()]


def revoke(connection: Connection, name: str) -> None:
    """Ends a key. Raises Misconfigured where no valid one has that id."""
    if not SQL["revoke"].count(connection, {"id": name}):
        raise Misconfigured(f"there is no valid key {name}: `docmill keys list` shows them")


def _hash(secret: str) -> bytes:
    """The secret has 256 random bits, so one round is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()
