"""A job as its stages see it: its row, its document, and the reply that its present attempt has already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from db.database import one_statement
from db.stages import STAGES, Chain, Stage
from db.statements import statements_of
from db.stored import as_json, loads
from docmill.reading import Reading
from docmill.reading.layout.geometry import pack
from docmill.reading.values import reading_as_kept
from docmill.remedies import Purpose

__all__ = ["Answer", "Document", "Drive", "Job", "job_of", "job_values", "load"]


SQL = statements_of("jobs")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What was submitted, and its text once it was read."""

    id: int
    name: str | None
    media_type: str
    body: bytes | None
    """For validate alone."""
    text: str | None
    pages: Sequence[int] | None = None
    """Where in the text each page begins."""
    layout: bytes | None = None
    """Where its words stand on its pages, as it is kept."""
    warnings: Sequence[Mapping[str, Any]] | None = None
    scans: Sequence[int] = ()
    """Pages, counted from 0, that OCR has still to read."""
    whole: bool = False
    """Whether all that was read of it is here: of what is not short, layout and warnings are seldom loaded."""

    def as_read(self, reading: Reading) -> Document:
        """The document as its row keeps it once it was read."""
        told = loads(as_json([vars(warning) for warning in reading.warnings]) or "[]")
        return replace(
            self,
            media_type=reading.media_type,
            body=None,
            text=reading.text,
            pages=list(reading.pages),
            layout=pack(reading.layout) if reading.layout else None,
            warnings=told,
            scans=list(reading.scans) or (),
            whole=True,
        )

    @property
    def reading(self) -> Reading:
        """What was read of it."""
        return reading_as_kept(
            self.text or "",
            self.media_type,
            pages=self.pages or (),
            layout=bytes(self.layout or b""),
            warnings=self.warnings or (),
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The reply that an attempt got, word for word."""

    call_id: UUID
    text: str
    finish_reason: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job's row, as a stage needs it."""

    id: int
    tenant: str
    feature: str
    usr: str
    lane: str
    chain: Chain
    document_id: int | None
    collection: str | None
    """Where an index job puts its document, and where a prompt with retrieval looks."""
    prompt: str
    """Empty for an index job."""
    version: str | None
    params: Mapping[str, Any]
    stage: Stage
    epoch: int
    attempt: int
    purpose: Purpose
    model: str | None
    history: Sequence[Mapping[str, Any]]
    context: Mapping[str, Any] | None
    value: Mapping[str, Any] | None
    crashes: int
    redrives: int
    flight_key: bytes | None
    fresh: bool
    overdue: bool
    content_hash: bytes | None = None
    """Of the prompt's files, that the job is pinned to; None until it is."""
    missing: Mapping[str, Any] | None = None
    """Where that content was looked for in vain, and ``since`` when."""
    trace: str | None = None
    """The ``traceparent`` of its submit, as somebody else may have written it."""
    claimed: bool = False
    """Whether this process has claimed its stage, and no message finds it."""
    document: Document | None = None
    """None where it was deleted, and for store, which has no need of it."""
    answer: Answer | None = None
    """The reply that the present attempt has already, for complete and parse."""

    def moved(self, to: Stage) -> Job:
        """The job as :func:`db.transitions.advance` leaves it, but for what was kept with that."""
        return self.but(stage=to, crashes=0, redrives=0, missing=None, claimed=False)

    def but(self, **changes: Any) -> Job:
        """The job with these of its fields changed. Raises TypeError for what is none of them.

        :func:`dataclasses.replace` would set each of thirty fields anew, and a document's way has a dozen changes.
        """
        if not changes.keys() <= self.__dict__.keys():
            raise TypeError(f"a job has no {', '.join(changes.keys() - self.__dict__.keys())}")
        job = object.__new__(Job)
        job.__dict__.update(self.__dict__, **changes)
        return job

    @property
    def message(self) -> Drive:
        """The message of a job that is sent and stands at its stage, for whoever takes that up."""
        return Drive(
            id=self.id, epoch=self.epoch, stage=self.stage, lane=self.lane, quarantined=False, chain=self.chain
        )

    @property
    def fence(self) -> dict[str, object]:
        """Where it was seen; a transition changes nothing once it stands elsewhere."""
        return {"id": self.id, "epoch": self.epoch, "stage": self.stage}


@dataclass(frozen=True, kw_only=True)
class Drive:
    """One publication of a job's chain, under its new epoch."""

    id: int
    epoch: int
    stage: Stage
    lane: str
    quarantined: bool
    chain: Chain = "document"
    short: bool = False
    """Whether one worker takes the job all the way, as its document is short."""


@one_statement
def load(connection: Connection, job_id: int, epoch: int, stage: Stage) -> Job | None:
    """Reads the job, if it still stands where a message says."""
    return job_of(SQL["load"].first(connection, job_values(job_id, epoch, stage)))


def job_values(job_id: int, epoch: int, stage: Stage) -> dict[str, object]:
    """The fence, and what a job at that stage is read with."""
    rules = STAGES[stage]
    reads = ("reads_file", "reads_text", "reads_layout", "reads_answer")
    return {"id": job_id, "epoch": epoch, "stage": stage, **{name: getattr(rules, name) for name in reads}}


def job_of(row: Any | None) -> Job | None:
    """A job from the columns of the fragment ``job_row``."""
    if row is None:
        return None
    fields = row._asdict()
    told = ("name", "media_type", "text", "body", "pages", "layout", "warnings", "whole")
    document = {name: fields.pop(name) for name in told} | {"scans": fields.pop("scans") or ()}
    found, call_id, reply = fields.pop("found"), fields.pop("call_id"), fields.pop("reply")
    return Job(
        **fields,
        document=None if found is None else Document(id=found, **document),
        answer=None
        if call_id is None
        else Answer(call_id=call_id, text=reply["text"], finish_reason=reply["finish_reason"]),
    )
