"""A job as the HTTP API shows it: one model, of which the server's answers are made and the client reads them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

__all__ = ["ENDED", "AnswerRow", "Held", "Job", "ListedJob", "Places", "RowPage"]

ENDED = frozenset({"done", "needs_review", "failed", "cancelled"})

PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "found": {"type": "boolean"},
        "page": {"type": ["integer", "null"], "description": "Counted from 1"},
        "boxes": {
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}},
            "description": "One a line: left, upper, right and lower edge as shares of the page as it is shown",
        },
        "start": {"type": "integer"},
        "end": {"type": "integer", "description": "In the document's text, in characters"},
        "quote": {"type": "string"},
        "by": {"type": ["string", "null"], "enum": ["text", "ocr", None]},
        "occurrences": {"type": "integer"},
        "document_id": {"type": "integer", "description": "Of a citation"},
    },
}
PLACES: dict[str, Any] = {"anyOf": [{"type": "object", "additionalProperties": PLACE}, {"type": "null"}]}
FAILURE: dict[str, Any] = {
    "anyOf": [
        {
            "title": "Failure",
            "type": "object",
            "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
            "required": ["kind"],
            "additionalProperties": True,
        },
        {"type": "null"},
    ]
}
STATE: dict[str, Any] = {
    "type": "string",
    "enum": ["queued", "running", "held", "done", "needs_review", "failed", "cancelled"],
}
LANE: dict[str, Any] = {"type": ["string", "null"], "enum": ["interactive", "bulk", None]}

Places = Annotated[Any, WithJsonSchema(PLACES)]
"""What docmill writes; a row that holds something else is shown as it is, and breaks no list."""


class Held(BaseModel):
    """Why a job waits."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    waits_for: str = Field(alias="for", description="provider, budget or same_work")
    since: datetime | None = None
    until: datetime | None = Field(None, description="When it is looked at again, at the latest")
    message: str = ""


class ListedJob(BaseModel):
    """A job as lists have it."""

    # What an older server does not tell is as if it had none; what a newer one tells is kept.
    model_config = ConfigDict(frozen=True, extra="allow", json_schema_serialization_defaults_required=True)

    id: int
    state: Annotated[str, WithJsonSchema(STATE)]
    name: str | None = Field(None, description="Of the file, as submitted")
    path: str | None = Field(None, description="As submitted; of a file without one, its name")
    document_id: int | None = None
    run_id: int | None = Field(None, description="Of those that it was submitted with")
    prompt: str | None = Field(None, description="null for what is indexed")
    version: str | None = None
    feature: str = "default"
    user: str = ""
    tenant: str | None = Field(None, description="Whose it is; null from a server that does not tell")
    lane: Annotated[str | None, WithJsonSchema(LANE)] = Field(None, description="Which of the two it runs in")
    stage: str | None = None
    wait: str | None = Field(None, description="What it waits for; null once it has ended")
    held: Held | None = Field(None, description="Why it waits; null unless it is held")
    failure: Annotated[dict[str, Any] | None, WithJsonSchema(FAILURE)] = Field(
        None, description="Why it failed, or goes to a person: `kind` and `message`; null unless it has ended"
    )
    model: str | None = Field(None, description="Which answered last")
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    cost_usd: str | None = Field(None, description="A decimal; null where a call's cost is unknown")
    seconds: float | None = Field(None, description="From submit to end")
    created_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    metadata: dict[str, Any] = Field({}, description="As submitted")
    warnings: list[dict[str, Any]] = Field(
        [], description="What reading its document left out or only guessed: `kind`, `count`, `where`"
    )
    progress: str | None = Field(None, description="How far OCR has come, as `page 40 of 100`; else null")
    idempotency_key: str | None = None

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Job(ListedJob):
    """A job as it stands, with its answer."""

    value: Any = Field(None, description="The answer; null until there is one")
    evidence: Places = Field(
        None,
        description="Where each grounded value stands, or that it is not found; quotes in the text of"
        " `document_id`; null where the prompt does not ask",
    )


class AnswerRow(BaseModel):
    """An item of a list of an answer."""

    model_config = ConfigDict(frozen=True, extra="allow")

    at: int = Field(description="Its place in the list, from 0")
    value: Any
    evidence: Places = Field(
        None,
        description="Where its values stand, by their places in it: `amount`; `` for an item that is one value",
    )


class RowPage(BaseModel):
    """Items of a list of an answer, one after another."""

    model_config = ConfigDict(frozen=True, extra="allow")

    total: int = Field(description="In the whole list")
    rows: list[AnswerRow]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")
