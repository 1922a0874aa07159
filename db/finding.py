"""What a tenant has under an id, a key or a name that somebody holds in their hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sqlalchemy import ColumnElement, Connection, FromClause, Select, String, cast, literal, select, union_all

from db.tables import calls, collections, documents, jobs, runs

__all__ = ["MOST_LATEST", "Found", "Kind", "find"]

Kind: TypeAlias = Literal["job", "document", "run", "collection", "prompt"]

MOST_LATEST = 5_000
"""Jobs among whose calls a provider's request id is looked for."""
MOST_FOUND = 20
DIGITS = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)
LARGEST_ID = 2**63 - 1
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
REQUEST_ID = re.compile(r"\S{8,200}")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that is called so."""

    kind: Kind
    id: int
    name: str | None
    by: str
    """What of it was looked for."""


def find(connection: Connection, tenant: str, words: str) -> list[Found]:
    """The tenant's jobs, documents, runs and collections that have exactly this id, key, hash or name."""
    looked = union_all(*_looks(tenant, words)).limit(MOST_FOUND)
    return [Found(kind=row.kind, id=row.id, name=row.name, by=row.by) for row in connection.execute(looked)]


def _looks(tenant: str, words: str) -> Iterator[Select[tuple[str, int, str | None, str]]]:
    """One for each way to be called so: all but the last are looked up in an index."""
    if DIGITS.fullmatch(words) and int(words) <= LARGEST_ID:
        for kind, table in (("job", jobs), ("document", documents), ("run", runs)):
            yield _look(kind, "id", table, table.c.tenant == tenant, table.c.id == int(words))
    if SHA256.fullmatch(words):
        of_content = documents.c.sha256 == bytes.fromhex(words)
        yield _look("document", "SHA-256", documents, documents.c.tenant == tenant, of_content)
    yield _look("job", "idempotency key", jobs, jobs.c.tenant == tenant, jobs.c.idem_key == words)
    yield _look("collection", "name", collections, collections.c.tenant == tenant, collections.c.name == words)
    if REQUEST_ID.fullmatch(words):
        yield _of_request(tenant, words)


def _look(
    kind: str, by: str, table: FromClause, *those: ColumnElement[bool]
) -> Select[tuple[str, int, str | None, str]]:
    columns = (literal(kind).label("kind"), table.c.id, cast(table.c.name, String), literal(by).label("by"))
    return select(*columns).where(*those)


def _of_request(tenant: str, words: str) -> Select[tuple[str, int, str | None, str]]:
    latest = select(jobs.c.id, jobs.c.name).where(jobs.c.tenant == tenant).order_by(jobs.c.id.desc())
    recent = latest.limit(MOST_LATEST).subquery()
    of_call = select(calls.c.id).where(calls.c.job_id == recent.c.id, calls.c.request_id == words).exists()
    return _look("job", "request id of a call", recent, of_call)
