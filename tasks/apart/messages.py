"""What a judge apart is asked, and what it answers, as frames.

The child runs other people's code, so its answers are checked before any of them is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from db.stored import as_json, loads
from docmill.apart.frames import MAX_HEADER
from tasks.verdicts import Question, Rejected, Verdict

__all__ = [
    "MOST_BYTES",
    "Content",
    "Garbled",
    "Told",
    "TooLarge",
    "read_answer",
    "read_question",
    "write_answer",
    "write_question",
]

IN_HEADER = ("reply", "finish_reason", "media_type", "pages", "shown", "seen", "unread", "found", "found_at")
"""Fields of a question; its text and its layout are the frame's body."""
PAIRS = ("shown", "seen", "found_at")
MOST_BYTES = 4 * 2**20
"""Of an answer: a process with a hundred threads reads it at one go, while they all wait."""
LONGEST_PLACE = 10_000
"""Characters."""
SURROGATES = "surrogatepass"
"""A reply may hold halves of characters: they must come over as they are."""


class Content(NamedTuple):
    """Of a prompt, as a job is pinned to it."""

    name: str
    version: str
    content_hash: bytes


class TooLarge(Exception):
    """The question does not fit into a frame."""


class Garbled(Exception):
    """An answer that its sender cannot have meant."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What the child says; one of the first three."""

    verdict: Verdict | None = None
    broke: str | None = None
    """Where in the code the prompt's checks broke."""
    declined: bool = False
    """Whether it cannot tell: the prompt's content does not load there, or the answer is too large."""
    unloaded: bool = False
    """Whether that is the content's fault, which would not load for the next reply either."""
    last: bool = False
    """Whether the child ends now."""
    slow: bool = False
    """Whether the checks took so long that others should not wait for such ones again and again."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """Of an answer. Why a reply was rejected, and what is kept of it, are the frame's body, each as JSON."""

    judged: bool = False
    rejected_bytes: Annotated[int, Field(ge=0)] = 0
    broke: Annotated[str, Field(max_length=LONGEST_PLACE)] | None = None
    declined: bool = False
    unloaded: bool = False
    last: bool = False
    slow: bool = False


HEADER, REJECTED = TypeAdapter(Header), TypeAdapter(Rejected)


def write_question(content: Content, question: Question) -> tuple[bytes, bytes]:
    """A frame's header and body. Raises TooLarge."""
    told = {
        "prompt": (content.name, content.version, content.content_hash.hex()),
        "layout_bytes": len(question.layout),
        **{name: getattr(question, name) for name in IN_HEADER},
    }
    header = json.dumps(told).encode()
    if len(header) > MAX_HEADER:
        raise TooLarge
    return header, question.layout + question.text.encode(errors=SURROGATES)


def read_question(header: bytes, body: bytes) -> tuple[Content, Question]:
    """The question of a frame, as its parent wrote it."""
    told = json.loads(header)
    (name, version, content_hash), layout_bytes = told.pop("prompt"), told.pop("layout_bytes")
    for each in PAIRS:
        told[each] = tuple(map(tuple, told[each]))
    layout, text = body[:layout_bytes], body[layout_bytes:].decode(errors=SURROGATES)
    return Content(name, version, bytes.fromhex(content_hash)), Question(**told, layout=layout, text=text)


def write_answer(told: Told) -> tuple[bytes, bytes]:
    """A frame's header and body. Raises TypeError for a value that has no place in a job's row."""
    verdict = told.verdict or Verdict(kept=None)
    rejected = (as_json(verdict.rejected and vars(verdict.rejected)) or "").encode()
    body = rejected + (as_json(verdict.kept) or "").encode()
    if len(body) > MOST_BYTES:
        return write_answer(Told(declined=True, last=told.last))
    header = Header(
        judged=told.verdict is not None,
        rejected_bytes=len(rejected),
        broke=told.broke and told.broke[:LONGEST_PLACE],
        declined=told.declined,
        unloaded=told.unloaded,
        last=told.last,
        slow=told.slow,
    )
    return json.dumps(vars(header)).encode(), body


def read_answer(header: bytes, body: bytes) -> Told:
    """The answer of a frame: its value is what would be read from a job's row. Raises Garbled."""
    try:
        told = HEADER.validate_json(header)
        rejected, kept = body[: told.rejected_bytes], body[told.rejected_bytes :]
        verdict = Verdict(
            kept=loads(kept) if kept else None, rejected=REJECTED.validate_json(rejected) if rejected else None
        )
    except (ValidationError, ValueError, RecursionError) as error:
        raise Garbled from error
    says_one = [told.judged, told.broke is not None, told.declined].count(True) == 1
    is_kept = isinstance(verdict.kept, dict) or (verdict.kept is None and verdict.rejected is not None)
    if not says_one or (told.judged and not is_kept):
        raise Garbled
    judged = verdict if told.judged else None
    return Told(
        verdict=judged,
        broke=told.broke,
        declined=told.declined,
        unloaded=told.unloaded,
        last=told.last,
        slow=told.slow,
    )
