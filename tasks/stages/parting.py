"""Whether a document is asked in parts, and which ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from db.jobs import Job
from docmill.errors import Failure
from docmill.parts import Lines, Part, cut, expected_rows
from docmill.parts.cutting import ROWS_A_PART, Size
from docmill.parts.rounds import Plan
from prompts import PromptVersion
from tasks.stages.window import Room, output_limit

__all__ = ["in_parts", "is_in_parts", "parts_of", "plan_of"]

PART_TOKENS = 6000
"""Of a document, at most: in more a model overlooks rows."""
LONG_TOKENS = 12_000
"""Of a document in which rows are not told by their shape, and so cannot be counted."""
BESIDE_TOKENS = 500
"""For what goes along with a part."""
LEAST_TOKENS = 200
FIELD_TOKENS = 6
"""Of an answer for each member of a row, beside its words."""
ANSWER_SHARE = 0.7
"""Of the output limit, for the rows that are expected: some have longer words than others."""


def is_in_parts(job: Job) -> bool:
    """Returns whether the job's document was cut into parts."""
    return bool((job.context or {}).get("plan"))


def plan_of(job: Job) -> Plan:
    """The parts whose answers make up the job's."""
    return Plan.read((job.context or {})["plan"]).for_attempt(job.attempt)


def in_parts(
    text: str, room: Room, prompt: PromptVersion, job: Job, *, pages: Sequence[int]
) -> dict[str, Any] | Failure | None:
    """Returns what is kept of a document that is asked in parts; None for one that is asked as a whole.

    A failure where it has more parts than its prompt allows.
    """
    if prompt.question(job.params) is not None or prompt.config.retrieval.collection is not None:
        return None
    parts = parts_of(text, room, prompt, limit=output_limit(job, prompt), pages=pages)
    if parts is None:
        return None
    most = prompt.config.retrieval.most_parts
    if len(parts) > most:
        message = (
            f"the document has {len(parts)} parts, and {most} are allowed: raise retrieval.most_parts in "
            f"prompt.toml, or split the document"
        )
        return Failure(kind="context_overflow", message=message)
    whole = [(0, len(text))]
    return {
        "passages": whole,
        **room.record(0),
        "left_out": [],
        "left_out_chars": 0,
        "found": [],
        "plan": replace(Plan.of(parts), attempt=job.attempt).as_json(),
    }


def parts_of(
    text: str, room: Room, prompt: PromptVersion, *, limit: int, pages: Sequence[int] = ()
) -> list[Part] | None:
    """The parts that a document is asked in; None where it is asked as a whole."""
    by = prompt.config.retrieval.by
    if by not in ("auto", "parts") or not text.strip() or (by == "auto" and not prompt.row_fields):
        return None
    tokens = room.counter.count(text)
    row_tokens = FIELD_TOKENS * max(1, prompt.row_fields)
    lines = Lines(text)
    size = Size(
        tokens=max(LEAST_TOKENS, min(PART_TOKENS, room.tokens - BESIDE_TOKENS)),
        tokens_each=max(tokens / len(text), 1e-6),
        row_tokens=row_tokens,
        answer_tokens=int(limit * ANSWER_SHARE),
    )
    if by == "auto" and tokens <= min(room.tokens, LONG_TOKENS) and _answer_fits(lines, size, limit):
        return None
    return cut(lines, size, pages)


def _answer_fits(lines: Lines, size: Size, limit: int) -> bool:
    """Whether the rows that the document seems to have fit one answer."""
    rows = expected_rows(lines)
    if rows > ROWS_A_PART:
        return False
    spans = [lines.span(line) for line in range(len(lines)) if lines.is_row(line)]
    words = sum(end - start for start, end in spans) * size.tokens_each
    return words + rows * size.row_tokens <= limit
