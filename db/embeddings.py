"""Embeddings, kept by the hash of their text: each is asked for by one call in the whole fleet, and paid once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection

from db.database import one_statement
from db.statements import statements_of

__all__ = ["claim", "forget_questions", "keep", "known", "mark_question", "release", "vector_of"]

SQL = statements_of("embeddings")


@one_statement
def known(connection: Connection, model: str, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the texts that have a vector of the model."""
    rows = SQL["known"].rows(connection, {"model": model, "digests": list(digests)})
    return {row.sha256 for row in rows}


def claim(
    connection: Connection, model: str, digests: Sequence[bytes], call_id: UUID, *, lease_s: float
) -> set[bytes]:
    """Those of the texts that this call may ask for; the others have their vector, or another call asks for it."""
    # In one order everywhere, so that two jobs with the same texts wait for each other and not in a circle.
    values = {"model": model, "digests": sorted(digests), "call_id": call_id, "lease_s": lease_s}
    return {row.sha256 for row in SQL["claim"].rows(connection, values)}


def release(connection: Connection, *calls: UUID) -> None:
    """Lets anybody ask for the texts of calls that were not made, or brought nothing."""
    SQL["release"].count(connection, {"calls": list(calls)})


@one_statement
def keep(connection: Connection, model: str, vectors: Mapping[bytes, Sequence[float]]) -> int:
    """Keeps the vectors; how many are new. One that is there already stays as it is."""
    digests = sorted(vectors)
    texts = [str(list(vectors[each])) for each in digests]
    return SQL["keep"].count(connection, {"model": model, "digests": digests, "vectors": texts})


@one_statement
def vector_of(connection: Connection, model: str, digest: bytes) -> list[float] | None:
    """A text's vector, where it is known."""
    vector: list[float] | None = SQL["vector"].scalar(connection, {"model": model, "digest": digest})
    return vector


def mark_question(connection: Connection, call_id: UUID) -> None:
    """Notes that a call's text is a question, whose vector is kept for a while alone."""
    SQL["mark_question"].count(connection, {"call_id": call_id})


def forget_questions(connection: Connection, *, after_days: float) -> int:
    """Takes away the vectors of questions that were asked so long ago, unless a document has the same words."""
    return SQL["forget_questions"].count(connection, {"older_than_s": after_days * 86_400})
