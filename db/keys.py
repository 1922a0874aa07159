"""Keys of the HTTP API: shown once, kept as a hash, each with its tenant, what it may do, and whose it is.

A person's browser shows a key once, and has a session from then on. A session is good as long as its key is.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from db.statements import statements_of
from db.tables import api_keys
from docmill.bounds import check_text
from docmill.errors import Misconfigured

__all__ = [
    "SCOPES",
    "SESSION_S",
    "USUAL",
    "Holder",
    "Key",
    "add",
    "close_session",
    "holder_of",
    "listed",
    "open_session",
    "revoke",
    "session_of",
]

SQL = statements_of("keys")

PREFIX = "dm"
SCOPES = {
    "submit": "send documents and questions",
    "read": "see jobs, documents, answers and costs",
    "review": "decide about answers that wait for a person",
    "operate": "retry and cancel jobs, and make webhooks",
    "money": "change the tenant's budgets",
    "admin": "all of these, hold and release models, and change the budgets of all",
}
"""What a key may do, by the name of the scope."""
USUAL = ("submit", "read", "operate")
"""Of a key that is made without a word about it, and of those that were made before there were scopes."""
BEFORE_SCOPES = "jobs"
"""What older versions write."""
SESSION_S = 12 * 3600.0
"""A working day."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """What is known of a key; not the key."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    """To the minute; None for one that was never used."""
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Whoever showed a valid key, or has a session by one."""

    key_id: str
    tenant: str
    name: str
    """As authors of decisions are named; never empty."""
    scopes: frozenset[str]


def add(
    connection: Connection,
    tenant: str,
    *,
    name: str = "",
    scopes: Iterable[str] = USUAL,
    expires_at: datetime | None = None,
) -> str:
    """A new key, which is shown this once. Raises SubmitRefused for the name, Misconfigured for a scope."""
    check_text("name", name)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    values = {"tenant": tenant, "name": name, "scopes": checked_scopes(scopes), "expires_at": expires_at}
    SQL["add"].count(connection, {"id": key_id, "hash": _hash(secret), **values})
    return f"{PREFIX}_{key_id}_{secret}"


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes, each once. Raises Misconfigured for one that there is not, and for none."""
    found = list(dict.fromkeys(scopes))
    unknown = [scope for scope in found if scope not in SCOPES]
    if unknown or not found:
        wrong = f"there is no scope {unknown[0]!r}" if unknown else "a key without a scope may do nothing"
        raise Misconfigured(f"{wrong}: there are {', '.join(SCOPES)}")
    return found


def holder_of(connection: Connection, key: str) -> Holder | None:
    """Returns who holds a key that is valid; None for any other. Notes that it was used."""
    if not (key.isascii() and key.isprintable()):
        return None
    prefix, _, rest = key.partition("_")
    key_id, _, secret = rest.partition("_")
    row = SQL["valid"].first(connection, {"id": key_id})
    if prefix != PREFIX or row is None or not secrets.compare_digest(row.hash, _hash(secret)):
        return None
    return _holder(connection, row)


def open_session(connection: Connection, key: str) -> str | None:
    """A new session's token, for the browser that showed the key; None for a key that is not valid."""
    holder = holder_of(connection, key)
    if holder is None:
        return None
    token = secrets.token_urlsafe(32)
    values = {"hash": _hash(token), "key_id": holder.key_id, "for_s": SESSION_S}
    SQL["open_session"].count(connection, values)
    return token


def session_of(connection: Connection, token: str) -> Holder | None:
    """Returns who holds the session's key; None where the session is over, or its key is."""
    row = SQL["session"].first(connection, {"hash": _hash(token)})
    return None if row is None else _holder(connection, row)


def close_session(connection: Connection, token: str) -> None:
    """Ends a session, where there is one."""
    SQL["close_session"].count(connection, {"hash": _hash(token)})


def _holder(connection: Connection, row: Any) -> Holder:
    if row.used_long_ago:
        SQL["note_use"].count(connection, {"id": row.id})
    name = row.name or f"key {row.id}"
    return Holder(key_id=row.id, tenant=row.tenant, name=name, scopes=_allowed(row.scopes))


def _allowed(scopes: Collection[str]) -> frozenset[str]:
    usual = USUAL if BEFORE_SCOPES in scopes else ()
    return frozenset(SCOPES) if "admin" in scopes else frozenset([*scopes, *usual]) & SCOPES.keys()


def listed(connection: Connection) -> list[Key]:
    """Every key, the oldest first."""
    columns = [column for column in api_keys.c if column.name != "hash"]
    rows = connection.execute(select(*columns).order_by(api_keys.c.created_at))
    return [Key(**row) for row in rows.mappings()]


def revoke(connection: Connection, name: str) -> None:
    """Ends a key. Raises Misconfigured where no valid one has that id."""
    if not SQL["revoke"].count(connection, {"id": name}):
        raise Misconfigured(f"there is no valid key {name}: `docmill keys list` shows them")


def _hash(secret: str) -> bytes:
    """The secret has 256 random bits, so one round is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()
