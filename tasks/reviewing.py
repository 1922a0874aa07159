"""A person's decision about an answer: checked by the prompt's own validators before it is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis

from db import reviews
from db.database import Database
from db.reviews import Clerk, Decided, Decision, Subject
from docmill.errors import JobNotFit, PromptError, ReplyRejected, ReplyWrong, SubmitRefused
from docmill.llm.cache import Cache
from docmill.parsing import accept, correction_problems
from docmill.parsing.bounds import leaves
from docmill.parsing.evidence import Evidence, evidence
from docmill.reading.layout.places import Geometry
from prompts import PromptVersion, Registry
from prompts.numbers import with_numbers

__all__ = ["Checked", "Desk", "ReviewRefused", "Said", "check", "differing", "with_values", "written"]

LONGEST_NOTE = 2000
LONGEST_VALUE = 400_000
"""Characters of an answer as JSON."""


class ReviewRefused(SubmitRefused):
    """The value does not pass the prompt's checks, and nobody said that these are wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A value as the prompt reads it, and what its checks say of it."""

    value: Any
    problems: tuple[str, ...]
    """``path: sentence`` each."""
    fits: bool
    """Whether it has the shape of an answer: a clerk overrules checks, and no schema."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a clerk says of a job's answer."""

    decision: reviews.Kind
    value: Any = None
    """Of ``correct`` alone."""
    overruled: Sequence[str] = ()
    """Paths of values whose checks are wrong about them; the empty path is the answer as a whole."""
    note: str = ""
    places: Mapping[str, Mapping[str, int]] | None = None
    """Where in the text a clerk found values, by path."""


def check(prompt: PromptVersion, text: str, value: Any) -> Checked:
    """Returns what the prompt's validators say of a value, held against the whole of the document's text."""
    written = json.dumps(value, ensure_ascii=False)
    if len(written) > LONGEST_VALUE:
        raise SubmitRefused(f"value: at most {LONGEST_VALUE:,} characters of JSON")
    try:
        return Checked(value=accept(written, prompt.output_model, document=text), problems=(), fits=True)
    except ReplyRejected as rejected:
        kept = with_numbers(value if rejected.value is None else rejected.value, prompt.schema, prompt.schema)
        fits = isinstance(rejected, ReplyWrong)
        return Checked(value=kept, problems=tuple(correction_problems(rejected)), fits=fits)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where decisions are taken: with the database, the prompts, and the answers that are remembered."""

    database: Database
    registry: Registry
    cache: Cache

    def decide(self, tenant: str, job_id: int, clerk: Clerk, said: Said) -> Decided:
        """Keeps a decision. Raises JobUnknown, JobNotFit, SubmitRefused; ReviewRefused for what does not pass."""
        if len(said.note) > LONGEST_NOTE or "\x00" in said.note:
            raise SubmitRefused(f"note: at most {LONGEST_NOTE:,} characters, without NUL")
        with self.database.work() as connection:
            found = reviews.subject_of(connection, tenant, job_id, clerk)
            if found.claimed_by is not None:
                raise JobNotFit(f"job {job_id} is being reviewed by {found.claimed_by}: take another one")
            decision = self._decision(found.subject, said)
            decided = reviews.decide(connection, tenant, found.subject, clerk, decision)
        if said.decision != "accept" and decided.flight_key is not None:
            self._forget(decided.flight_key)
        return decided

    def check(self, subject: Subject, value: Any) -> Checked:
        """Returns what the checks say of a value for a job's answer. Raises JobNotFit where its prompt is gone."""
        return check(self._prompt(subject), subject.text or "", value)

    def _decision(self, subject: Subject, said: Said) -> Decision:
        if said.decision == "reject":
            return Decision(kind="reject", note=said.note)
        if said.decision == "accept" and not subject.revision:
            raise JobNotFit(f"job {subject.id} has no answer that could be accepted: correct or reject it")
        value = subject.value if said.decision == "accept" else said.value
        checked = self.check(subject, value)
        # Who accepts an answer as it stands says that every check that doubts it is wrong.
        overruled = [
            each for each in checked.problems if said.decision == "accept" or _path(each) in said.overruled
        ]
        left = [each for each in checked.problems if each not in overruled]
        if left or (checked.problems and not checked.fits):
            raise ReviewRefused(left or checked.problems)
        places = self._places(subject, checked.value) or {}
        return Decision(
            kind=said.decision,
            value=checked.value,
            evidence=(places | _marked(said, subject)) or None,
            overruled=overruled,
            changed=differing(subject.value, checked.value),
            note=said.note,
        )

    def _places(self, subject: Subject, value: Any) -> Evidence | None:
        reading = subject.reading
        return evidence(value, self._prompt(subject).output_model, reading, [(0, len(reading.text))])

    def _prompt(self, subject: Subject) -> PromptVersion:
        try:
            return self.registry.get(subject.prompt or "", subject.version)
        except PromptError as error:
            raise JobNotFit(
                f"job {subject.id} cannot be checked: {error}; reject it, or put the prompt back"
            ) from error

    def _forget(self, key: bytes) -> None:
        """What a person did not take is not given to others. Where the cache is away, it knows nothing either."""
        with suppress(redis.RedisError):
            self.cache.forget(key)


def _path(problem: str) -> str:
    place = problem.partition(": ")[0]
    return "" if place == "the answer" else place


def _marked(said: Said, subject: Subject) -> Evidence:
    """The places that a clerk showed, as far as they lie in the text."""
    reading = subject.reading
    geometry = Geometry(reading.pages, reading.layout)
    found: Evidence = {}
    for path, place in (said.places or {}).items():
        start, end = place["start"], place["end"]
        if 0 <= start < end <= len(reading.text):
            boxes = [list(box) for box in geometry.boxes(start, end)]
            page, quote = geometry.page_of(start), reading.text[start:end]
            where = {"page": page, "boxes": boxes, "quote": quote, "by": geometry.by(page), "occurrences": 1}
            found[path] = {"found": True, "start": start, "end": end, **where}
    return found


def differing(before: Any, after: Any) -> list[str]:
    """Paths of the values that are other ones, or are there in one of the two alone."""
    first, second = dict(leaves(before, empties=True)), dict(leaves(after, empties=True))
    return [
        path
        for path in {**first, **second}
        if path not in first or path not in second or first[path] != second[path]
    ]


def written(value: Any) -> str:
    """A scalar as people write it; nothing for null."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def with_values(value: Any, texts: Mapping[str, str], path: str = "") -> Any:
    """The answer with other values, by path. What reads as before stays as it is; the schema types the rest."""
    if isinstance(value, dict) and value:
        return {name: with_values(each, texts, f"{path}.{name}" if path else name) for name, each in value.items()}
    if isinstance(value, list) and value:
        return [with_values(each, texts, f"{path}.{at}" if path else str(at)) for at, each in enumerate(value)]
    text = texts.get(path)
    if text is None or text == written(value):
        return value
    if isinstance(value, dict | list):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return text or None
