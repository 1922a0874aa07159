"""What a job went through, as the API shows it: :mod:`db.inspection` field by field."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from web.schemas import CallShown, StageShown

__all__ = ["JobInspected"]


class MessageShown(BaseModel):
    """One message as it was sent."""

    role: str
    content: str


class ReplyShown(BaseModel):
    """What came back, word for word."""

    text: str
    finish_reason: str
    warnings: list[str] = Field(description="What made no sense in the provider's answer")


class CallInspected(CallShown):
    """One call to a model, with what was said."""

    number: int = Field(description="Which try it is of its attempt, from 1")
    messages: list[MessageShown]
    reply: ReplyShown | None
    erased: bool = Field(description="Whether what was said is gone: the figures stay for ever")


class StageInspected(BaseModel):
    """A stage of the job's chain."""

    stage: str
    state: Literal["done", "here", "failed", "ahead"]
    driven_at: datetime | None = Field(description="When the job was last sent on its way from here")


class CheckShown(BaseModel):
    """Something that went wrong in an attempt, and what was done about it."""

    attempt: int | None
    purpose: str
    kind: str
    model: str | None
    message: str
    problems: list[str]
    remedy: str | None
    reason: str | None


class PlaceShown(BaseModel):
    """Where a value stands in a document's text."""

    path: str = Field(description="In the answer, as `lines.0.name`")
    value: Any
    start: int
    end: int
    page: int | None = Field(description="From 1")
    quote: str | None = Field(description="null where the document's text is gone")
    before: str
    after: str
    document_id: int | None


class PartsShown(BaseModel):
    """How much of the document the model was shown, as offsets in its text."""

    passages: list[tuple[int, int]]
    left_out: list[tuple[int, int]]
    left_out_chars: int


class JobInspected(BaseModel):
    """What a job went through, and what the models saw."""

    job_id: int
    stages: list[StageInspected]
    calls: list[CallInspected]
    checks: list[CheckShown]
    places: list[PlaceShown]
    drives: list[StageShown]
    shown: PartsShown | None = Field(description="null before the context is chosen")
