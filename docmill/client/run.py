"""Runs as the HTTP API shows them, and the filters of its lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from docmill.errors import SubmitRefused
from docmill.storable import is_storable

__all__ = ["LineAnswer", "Run", "lines_of", "query_of"]

LINES_AT_ONCE = 500
BYTES_AT_ONCE = 2**23
"""Of one request: one that has to be sent again is no large one."""


class Run(BaseModel):
    """Documents that were submitted together, and how far they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: int
    name: str
    state: str = ""
    """running, or ended: all its jobs have, and it was closed, or has as many as were expected."""
    total: int = 0
    afresh: int = 0
    """Of the total: asked once more, which are none of the documents expected."""
    states: dict[str, int] = {}
    reasons: dict[str, int] = {}
    """By the kind of the failure, or what held jobs wait for."""
    open: int = 0
    """Jobs that have not ended."""
    ended: int = 0
    expected: int | None = None
    cost_usd: str | None = None
    """A decimal; None is unknown."""
    eta_s: float | None = None


class LineAnswer(BaseModel):
    """What became of a document that was submitted to a run."""

    model_config = ConfigDict(frozen=True, extra="allow")

    key: str | None
    id: int | None = None
    """Of its job; None where it is none, and ``problem`` says why."""
    new: bool = False
    """False where the job was there already."""
    problem: dict[str, Any] | None = None


def lines_of(documents: Mapping[str, str | Mapping[str, Any]]) -> Iterator[bytes]:
    """Requests' bodies of JSON lines, for the documents by their keys. Raises SubmitRefused."""
    written: list[bytes] = []
    size = 0
    for key, document in documents.items():
        told = {"document": document} if isinstance(document, str) else dict(document)
        line = json.dumps({**told, "key": key}, ensure_ascii=False, default=_plain)
        if not is_storable(line):
            raise SubmitRefused(f"document {key}: it has halves of surrogate pairs")
        written.append(line.encode())
        size += len(written[-1])
        if len(written) == LINES_AT_ONCE or size > BYTES_AT_ONCE:
            yield b"\n".join(written)
            written, size = [], 0
    if written:
        yield b"\n".join(written)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise SubmitRefused(f"a line holds what JSON has not: a {type(value).__name__}")


def query_of(*, values: bool, filters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a list of jobs; what is None asks for nothing."""
    query = {name: _written(value) for name, value in filters.items() if value is not None}
    return query | ({"include": "value"} if values else {})


def _written(value: object) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
