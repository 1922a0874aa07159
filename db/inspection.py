"""What a job went through, and what the models saw of it: one set of queries for whoever shows it.

Rows are shown as they are: what an older version wrote, or somebody else, is left out where it makes no sense, and
breaks nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, select

from db import reports
from db.reports import JobReport
from db.stages import CHAINS, STAGES
from db.tables import calls, documents, exchanges, jobs, one_of

__all__ = [
    "Call",
    "Check",
    "Drive",
    "Inspection",
    "Message",
    "Place",
    "Reply",
    "Shown",
    "as_json",
    "calls_of",
    "inspect",
    "places_of",
]

AROUND = 80
"""Characters of the document that are shown before a value, and behind it."""

StageState: TypeAlias = Literal["done", "here", "failed", "ahead"]


@dataclass(frozen=True, kw_only=True)
class StageSeen:
    """A stage of the job's chain, and whether the job has come so far."""

    stage: str
    state: StageState
    driven_at: datetime | None
    """When the job was last sent on its way from here; None where it came by itself from the stage before."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message as it was sent."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back, word for word."""

    text: str
    finish_reason: str
    warnings: tuple[str, ...]
    """What made no sense in the provider's answer, as a count of tokens below zero."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request to a model, as the ledger has it, with what was said."""

    id: UUID
    purpose: str
    attempt: int
    number: int
    """Which try it is of its attempt, from 1."""
    part: int
    """Which part of a long document it asks; 0 asks the whole."""
    state: str
    """intent, answered, surplus, failed, in_doubt or cached."""
    provider: str
    account: str
    model: str
    model_echoed: str | None
    """What the provider says that answered."""
    prompt: str | None
    version: str | None
    content_hash: str | None
    """Of the prompt's files, in hexadecimal."""
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    """None is unknown, as all figures here."""
    saved_usd: Decimal | None
    price_source: str | None
    reserved_usd: Decimal | None
    cache_layer: str | None
    remedy: str | None
    """What was done about a failure by making this call."""
    failure_kind: str | None
    http_status: int | None
    request_id: str | None
    possibly_billed: bool
    wasted: str | None
    """Why it was paid for nothing: rejected, or failed."""
    latency_ms: int | None
    started_at: datetime
    finished_at: datetime | None
    messages: tuple[Message, ...]
    settings: Mapping[str, Any]
    """Beside the messages: ``max_output_tokens``, ``temperature``, ``structured``."""
    reply: Reply | None
    erased: bool
    """Whether what was said is gone: it is kept for so many days, and the figures for ever."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """Something that went wrong in an attempt, and what was done about it."""

    attempt: int | None
    purpose: str
    kind: str
    model: str | None
    message: str
    problems: tuple[str, ...]
    """``field: sentence``, where it lies in the answer."""
    remedy: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a value stands in a document's text."""

    path: str
    """In the answer, as ``lines.0.name``."""
    value: Any
    start: int
    end: int
    page: int | None
    """From 1; None where the document has no pages."""
    quote: str | None
    """The words themselves; None where the document's text is gone."""
    before: str
    after: str
    document_id: int | None
    """The job's own document, or one of a collection, for a citation."""


@dataclass(frozen=True, kw_only=True)
class Drive:
    """One publication of the job's chain."""

    epoch: int
    stage: str
    cause: str
    at: datetime
    late_s: float | None
    """Of a job that got stuck: seconds from when somebody had to look at it until it was driven again."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """How much of the document the model was shown."""

    passages: tuple[tuple[int, int], ...]
    """Parts of the text, as offsets."""
    left_out: tuple[tuple[int, int], ...]
    left_out_chars: int


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """All that is on record of a job."""

    job: JobReport
    stages: tuple[StageSeen, ...]
    calls: tuple[Call, ...]
    """In the order in which they were made."""
    checks: tuple[Check, ...]
    """In the order in which they were met; a retry begins anew."""
    places: tuple[Place, ...]
    drives: tuple[Drive, ...]
    shown: Shown | None
    """None before the context is chosen."""


def inspect(connection: Connection, job_id: int, *, tenant: str | None = None) -> Inspection:
    """Reads it all. Raises JobUnknown, also for another tenant's job."""
    job = reports.job_report(connection, job_id, tenant=tenant)
    driven = drives_of(connection, job_id)
    return Inspection(
        job=job,
        stages=stages_of(connection, job, driven),
        calls=calls_of(connection, job_id),
        checks=checks_of(connection, job_id),
        places=places_of(connection, job),
        drives=driven,
        shown=shown_of(connection, job_id),
    )


def drives_of(connection: Connection, job_id: int) -> tuple[Drive, ...]:
    """Each publication of the job's chain. Raises JobUnknown."""
    return tuple(Drive(**row) for row in reports.drives(connection, job_id))


def stages_of(connection: Connection, job: JobReport, driven: Sequence[Drive]) -> tuple[StageSeen, ...]:
    """The stages of the job's chain, and how far it is; without those that it did not need."""
    chain: Any = connection.execute(select(jobs.c.chain).where(jobs.c.id == job.id)).scalar_one()
    last = {drive.stage: drive.at for drive in driven}
    passed = {job.stage, *last}
    names = [name for name in CHAINS.get(chain, ()) if name in passed or not STAGES[name].on_demand]
    at = next((number for number, name in enumerate(names) if name == job.stage), 0)
    return tuple(
        StageSeen(stage=name, state=_stage_state(job, number - at), driven_at=last.get(name))
        for number, name in enumerate(names)
    )


def _stage_state(job: JobReport, after: int) -> StageState:
    if job.state in ("done", "needs_review") or after < 0:
        return "done"
    if after > 0:
        return "ahead"
    return "failed" if job.state == "failed" else "here"


FIGURES = tuple(
    field.name
    for field in fields(Call)
    if field.name not in ("number", "content_hash", "messages", "settings", "reply", "erased")
)


def calls_of(connection: Connection, job_id: int, *, said: bool = True) -> tuple[Call, ...]:
    """Each call of the job, with what was said unless nobody wants to hear it."""
    kept = (exchanges.c.request, exchanges.c.reply) if said else ()
    rows = connection.execute(
        select(
            *(calls.c[name] for name in FIGURES),
            calls.c["try"].label("number"),
            calls.c.content_hash,
            exchanges.c.call_id.is_not(None).label("is_kept"),
            *kept,
        )
        .select_from(calls.outerjoin(exchanges, exchanges.c.call_id == calls.c.id))
        .where(calls.c.job_id == job_id)
        .order_by(calls.c.started_at, calls.c.attempt, calls.c["try"])
    )
    return tuple(_call(dict(row)) for row in rows.mappings())


def _call(row: dict[str, Any]) -> Call:
    request, reply, kept = row.pop("request", None), row.pop("reply", None), row.pop("is_kept")
    digest = row.pop("content_hash")
    asked = request if isinstance(request, dict) else {}
    return Call(
        **row,
        content_hash=None if digest is None else bytes(digest).hex(),
        messages=_messages(asked.get("messages")),
        settings={name: value for name, value in asked.items() if name not in ("messages", "model")},
        reply=_reply(reply),
        erased=not kept and row["state"] != "cached" and row["purpose"] != "embed",
    )


def _messages(sent: object) -> tuple[Message, ...]:
    return tuple(
        Message(role=str(each.get("role", "")), content=_words(each.get("content")))
        for each in (sent if isinstance(sent, list) else ())
        if isinstance(each, dict)
    )


def _words(said: object) -> str:
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _reply(kept: object) -> Reply | None:
    if not isinstance(kept, dict):
        return None
    warnings = kept.get("warnings")
    return Reply(
        text=_words(kept.get("text", "")),
        finish_reason=str(kept.get("finish_reason", "")),
        warnings=tuple(map(_words, warnings)) if isinstance(warnings, list) else (),
    )


def checks_of(connection: Connection, job_id: int) -> tuple[Check, ...]:
    """Returns what the job has met so far."""
    met = connection.execute(select(jobs.c.history).where(jobs.c.id == job_id)).scalar()
    return tuple(_check(each) for each in (met if isinstance(met, list) else ()) if isinstance(each, dict))


def _check(entry: Mapping[str, Any]) -> Check:
    attempt, problems = entry.get("attempt"), entry.get("problems")
    texts = {name: None if entry.get(name) is None else str(entry[name]) for name in ("model", "remedy", "reason")}
    return Check(
        attempt=attempt if isinstance(attempt, int) else None,
        purpose=str(entry.get("purpose", "")),
        kind=str(entry.get("kind", "")),
        message=str(entry.get("message", "")),
        problems=tuple(map(_words, problems)) if isinstance(problems, list) else (),
        **texts,
    )


def shown_of(connection: Connection, job_id: int) -> Shown | None:
    """Returns which parts of the document the model was shown, and which not."""
    chosen = connection.execute(select(jobs.c.context).where(jobs.c.id == job_id)).scalar()
    if not isinstance(chosen, dict):
        return None
    left_out = _spans(chosen.get("left_out"))
    return Shown(
        passages=_spans(chosen.get("passages")),
        left_out=left_out,
        left_out_chars=sum(end - start for start, end in left_out),
    )


def _spans(kept: object) -> tuple[tuple[int, int], ...]:
    pairs = kept if isinstance(kept, list) else []
    return tuple((each[0], each[1]) for each in pairs if isinstance(each, list) and _is_span(*each))


def _is_span(*ends: object) -> bool:
    """Whether it is a beginning and an end of something in a text."""
    if len(ends) != 2:
        return False
    start, end = ends
    return isinstance(start, int) and isinstance(end, int) and 0 <= start <= end


def places_of(connection: Connection, job: JobReport) -> tuple[Place, ...]:
    """Returns where the answer's values stand, with the words around them."""
    found = job.evidence if isinstance(job.evidence, dict) else {}
    spans = {path: span for path, span in found.items() if _is_place(span)}
    wanted = {_document(span, job) for span in spans.values()} - {None}
    texts = _texts(connection, sorted(each for each in wanted if each is not None), job)
    values = dict(_leaves(job.value))
    return tuple(_place(path, span, values.get(path), job, texts) for path, span in spans.items())


def _is_place(span: object) -> bool:
    return isinstance(span, dict) and _is_span(span.get("start"), span.get("end"))


def _document(span: Mapping[str, Any], job: JobReport) -> int | None:
    named = span.get("document_id")
    return named if isinstance(named, int) else job.document_id


def _texts(connection: Connection, ids: Sequence[int], job: JobReport) -> Mapping[int, tuple[str, Sequence[int]]]:
    """The documents' texts, and where their pages begin; those of the job's tenant alone."""
    tenant = select(jobs.c.tenant).where(jobs.c.id == job.id).scalar_subquery()
    rows = connection.execute(
        select(documents.c.id, documents.c.text, documents.c.pages).where(
            one_of(documents.c.id, ids), documents.c.tenant == tenant, documents.c.text.is_not(None)
        )
    )
    return {row.id: (row.text, _offsets(row.pages)) for row in rows}


def _offsets(kept: object) -> Sequence[int]:
    return [each for each in kept if isinstance(each, int)] if isinstance(kept, list) else []


def _place(
    path: str,
    span: Mapping[str, Any],
    value: object,
    job: JobReport,
    texts: Mapping[int, tuple[str, Sequence[int]]],
) -> Place:
    start, end, document = span["start"], span["end"], _document(span, job)
    text, pages = texts.get(document or 0, (None, ()))
    return Place(
        path=path,
        value=value,
        start=start,
        end=end,
        page=bisect_right(pages, start) or None if pages else None,
        quote=None if text is None else text[start:end],
        before=(text or "")[max(0, start - AROUND) : start],
        after=(text or "")[end : end + AROUND],
        document_id=document,
    )


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    """Each part of an answer by its path, as evidence names it."""
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        path, each = waiting.pop()
        yield path, each
        members = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
        waiting += [(f"{path}.{name}" if path else str(name), member) for name, member in members]


def as_json(value: Any) -> Any:
    """Any of these as JSON has it: amounts as decimals in text, times by ISO 8601."""
    if isinstance(value, JobReport):
        return value.as_json()
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_json(each) for each in value]
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID) else value
