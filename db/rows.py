"""An answer's lists, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of

__all__ = ["Page", "page"]

SQL = statements_of("rows")


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some items of a list, one after another."""

    total: int
    """In the whole list."""
    items: Sequence[Any]
    evidence: Mapping[str, Any]
    """Where the items' values stand, by their places in the answer."""


@one_statement
def page(connection: Connection, job_id: int, path: Sequence[str], *, first: int, most: int) -> Page | None:
    """Reads items of a list of the job's latest answer; None where it has no list there."""
    values = {"job": job_id, "path": list(path), "prefix": "".join(f"{step}." for step in path)}
    found = SQL["page"].first(connection, {**values, "first": first, "most": most})
    if found is None or found.total is None:
        return None
    return Page(total=found.total, items=found.items or (), evidence=found.evidence or {})
