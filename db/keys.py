"""Keys of the HTTP API: shown once, kept as a hash, each with its tenant."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from docmill.errors import Misconfigured

__all__ = ["Key", "add", "listed", "revoke", "tenant_of"]

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
    connection.execute(
        text("insert into api_keys (id, hash, tenant, scopes) values (:id, :hash, :tenant, '{jobs}')"),
        {"id": name, "hash": _hash(secret), "tenant": tenant},
    )
    return f"{PREFIX}_{name}_{secret}"


def tenant_of(connection: Connection, key: str) -> str | None:
    """The tenant of a key that is valid; None for any other."""
    if not (key.isascii() and key.isprintable()):
        return None
    prefix, _, rest = key.partition("_")
    name, _, secret = rest.partition("_")
    row = connection.execute(
        text("select hash, tenant from api_keys where id = :id and revoked_at is null"), {"id": name}
    ).first()
    if prefix != PREFIX or row is None or not secrets.compare_digest(bytes(row.hash), _hash(secret)):
        return None
    return str(row.tenant)


def listed(connection: Connection) -> list[Key]:
    rows = connection.execute(text("select id, tenant, created_at, revoked_at from api_keys order by created_at"))
    return [Key(**row) for row in rows.mappings()]


def revoke(connection: Connection, name: str) -> None:
    """Raises Misconfigured where no valid key has that id."""
    changed = connection.execute(
        text("update api_keys set revoked_at = clock_timestamp() where id = :id and revoked_at is null"),
        {"id": name},
    )
    if not changed.rowcount:
        raise Misconfigured(f"there is no valid key {name}: `docmill keys list` shows them")


def _hash(secret: str) -> bytes:
    """The secret has 256 random bits, so one round is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()
