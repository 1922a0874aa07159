"""The shapes of what goes in and comes out, as OpenAPI shows them."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import Header, Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny

from docmill import bounds
from docmill.bounds import LONGEST_DEADLINE_S, LONGEST_PATH, LONGEST_TEXT
from docmill.client.job import Job, ListedJob
from docmill.errors import SubmitRefused
from docmill.retrieval.languages import LANGUAGES

__all__ = [
    "INDEX_EXAMPLE",
    "LANGUAGES_KNOWN",
    "LARGEST_ID",
    "LONGEST_DEADLINE_S",
    "SUBMIT_EXAMPLE",
    "ActedOn",
    "AddressWanted",
    "CollectionName",
    "Collections",
    "CountsShown",
    "Day",
    "Deadline",
    "DocumentDetails",
    "DocumentPage",
    "FileToIndex",
    "FileWanted",
    "Hits",
    "IdempotencyKey",
    "JobDetails",
    "JobPage",
    "JobShown",
    "JobState",
    "JobWanted",
    "LineWanted",
    "Moment",
    "NamedFile",
    "PathText",
    "PriceShown",
    "QuestionWanted",
    "RunPage",
    "RunShown",
    "RunWanted",
    "Storable",
    "TextToIndex",
    "Words",
]

LARGEST_ID = 2**63 - 1

Lane = Literal["interactive", "bulk"]
JobState = Literal["queued", "running", "held", "done", "needs_review", "failed", "cancelled"]

Storable = Annotated[str, Field(max_length=LONGEST_TEXT, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A text that has a place in a column: without control characters."""


PathText = Annotated[str, Field(max_length=LONGEST_PATH, pattern=r"^[^\x00-\x1f\x7f]*$")]
IdempotencyKey = Annotated[
    str | None, Header(min_length=1, max_length=LONGEST_TEXT, pattern=r"^[!-~]([ -~]*[!-~])?$")
]
CollectionName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)]
Words = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]
"""What is asked, or looked for: at least one character that is more than white space."""


def _written(value: object) -> object:
    """A time is written as one: Pydantic would take any number for seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and "-" in value[1:]):
        return value
    raise ValueError("a time of ISO 8601, as 2026-03-14T09:00:00Z")


def _day(value: object) -> object:
    """A day is written as one, too."""
    if isinstance(value, str) and not DAY.fullmatch(value):
        raise ValueError("a day of ISO 8601, as 2026-03-14")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Seconds = Annotated[float, Field(ge=0, le=LONGEST_DEADLINE_S, allow_inf_nan=False)]
Moment = Annotated[datetime, BeforeValidator(_written)]
Deadline = Seconds | Moment

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _bounded(params: dict[str, Any]) -> dict[str, Any]:
    try:
        bounds.params_as_json(params, field="")
    except SubmitRefused as error:
        raise ValueError(str(error).removeprefix(": ")) from error
    return params


def _bounded_metadata(metadata: dict[str, str]) -> dict[str, str]:
    try:
        bounds.metadata_as_json(metadata)
    except SubmitRefused as error:
        raise ValueError(str(error)) from error
    return metadata


LANGUAGES_KNOWN = sorted({*LANGUAGES.values(), "simple"})


def _known_language(name: str) -> str:
    if name not in LANGUAGES_KNOWN:
        raise ValueError(f"one of {', '.join(LANGUAGES_KNOWN)}")
    return name


Language = Annotated[str, AfterValidator(_known_language), Field(json_schema_extra={"enum": [*LANGUAGES_KNOWN]})]
Params = Annotated[dict[str, Any], AfterValidator(_bounded)]
Metadata = Annotated[dict[str, str], AfterValidator(_bounded_metadata), Field(max_length=bounds.MOST_METADATA)]

SUBMIT_EXAMPLE: dict[str, Any] = {
    "prompt": "receipt",
    "document": "TEA HOUSE\nDate: 2026-03-14\nTOTAL 10.70",
    "feature": "bookkeeping",
    "user": "u-17",
    "deadline": 3600,
}
INDEX_EXAMPLE: dict[str, Any] = {
    "document": "The harbour gate closes when the tide is above four metres.",
    "name": "harbour.txt",
    "meta": {"shelf": 7},
}
QUESTION_EXAMPLE: dict[str, Any] = {"question": "When does the harbour gate close?", "user": "u-17"}
COLLECTIONS_EXAMPLE: dict[str, Any] = {
    "collections": [
        {
            "name": "handbook",
            "model": "wordllama",
            "next_model": None,
            "languages": ["english"],
            "documents": 12,
            "chunks": 340,
        }
    ]
}
DOCUMENTS_EXAMPLE: dict[str, Any] = {
    "documents": [
        {
            "id": 5,
            "name": "harbour.txt",
            "language": "english",
            "meta": {"shelf": 7},
            "chunks": 1,
            "indexed_at": "2026-03-14T09:00:02+00:00",
        }
    ],
    "next": None,
}
HITS_EXAMPLE: dict[str, Any] = {
    "hits": [
        {
            "chunk_id": 41,
            "document_id": 5,
            "document": "harbour.txt",
            "position": 0,
            "start": 0,
            "end": 59,
            "text": "The harbour gate closes when the tide is above four metres.",
            "meta": {"shelf": 7},
            "score": 0.91,
            "word_score": 3.2,
            "cosine": 0.78,
        }
    ]
}
RUN_EXAMPLE: dict[str, Any] = {"name": "March", "prompt": "receipt", "feature": "bookkeeping", "expected": 3000}
JOB_EXAMPLE: dict[str, Any] = {
    "id": 17,
    "name": "tea.txt",
    "path": "inbox/2026/tea.txt",
    "document_id": 5,
    "prompt": "receipt",
    "version": "v3",
    "feature": "bookkeeping",
    "user": "u-17",
    "tenant": "default",
    "lane": "bulk",
    "run_id": None,
    "state": "done",
    "stage": "store",
    "wait": None,
    "held": None,
    "value": {"company": "TEA HOUSE", "address": None, "date": "2026-03-14", "total": 10.7, "currency": None},
    "evidence": {
        "company": {
            "found": True,
            "page": 1,
            "boxes": [[0.1, 0.08, 0.31, 0.1]],
            "start": 0,
            "end": 9,
            "quote": "TEA HOUSE",
            "by": "text",
            "occurrences": 1,
        },
        "total": {"found": False},
    },
    "failure": None,
    "model": "gpt-5-mini",
    "input_tokens": 412,
    "output_tokens": 38,
    "calls": 1,
    "cost_usd": "0.000179",
    "seconds": 1.4,
    "created_at": "2026-03-14T09:00:00Z",
    "finished_at": "2026-03-14T09:00:01.4Z",
    "deadline_at": None,
    "metadata": {"order": "17"},
    "idempotency_key": None,
}


class NamedFile(BaseModel):
    """A document, and who sends it."""

    model_config = ConfigDict(extra="forbid")

    name: PathText | None = Field(None, description="Of the document; with its path, as in inbox/tea.txt")
    feature: Storable = Field("default", description="What costs are summed by")
    user: Storable = Field("", description="What costs are summed by")
    lane: Lane = "bulk"


class FileWanted(NamedFile):
    """What is wanted of a document."""

    prompt: Storable = Field(description="As `docmill prompts list` names it")
    version: Storable | None = Field(None, description="Of the prompt; else the highest that is no draft")
    deadline: Deadline | None = Field(None, description="Seconds from now, or a time of ISO 8601")
    params: Params = Field({}, description="Variables of the prompt's templates; at most 100 KB of JSON")
    metadata: Metadata = Field({}, description="What you say of it: at most 16 texts, returned with the job")


class JobWanted(FileWanted):
    """A text, with what is wanted of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [SUBMIT_EXAMPLE]})

    document: str = Field(min_length=1, description="The text; files go as multipart, in the field `file`")


class AddressWanted(FileWanted):
    """A document that lies on the web, with what is wanted of it."""

    document_url: str = Field(
        min_length=1,
        max_length=2000,
        description="Where it lies: https, at a public host; it is fetched before the answer, and once",
    )


class FileToIndex(NamedFile):
    """A document for a collection."""

    meta: Params = Field({}, description="What searches can filter by; at most 100 KB of JSON")
    language: Language | None = Field(None, description="Found out unless given")


class TextToIndex(FileToIndex):
    """A text for a collection."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [INDEX_EXAMPLE]})

    document: str = Field(min_length=1, description="The text; files go as multipart, in the field `file`")


class QuestionWanted(BaseModel):
    """A question to a collection."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [QUESTION_EXAMPLE]})

    question: Words
    prompt: Storable = Field("answer", description="One that looks into a collection")
    version: Storable | None = Field(None, description="Of the prompt; else the highest that is no draft")
    feature: Storable = Field("default", description="What costs are summed by")
    user: Storable = Field("", description="What costs are summed by")
    lane: Lane = "interactive"
    deadline: Deadline | None = Field(None, description="Seconds from now, or a time of ISO 8601")


class CollectionShown(BaseModel):
    """Documents that are searched together."""

    model_config = ConfigDict(extra="allow")

    name: str
    model: str = Field(description="Of embeddings")
    next_model: str | None = Field(description="The one that is about to take over")
    languages: list[str]
    documents: int
    chunks: int = Field(description="Beyond 1,000 as of the last count")
    chunks_at_least: bool = Field(description="There are more, which nobody has counted yet")


class Collections(BaseModel):
    """The tenant's collections, by name."""

    model_config = ConfigDict(json_schema_extra={"examples": [COLLECTIONS_EXAMPLE]})

    collections: list[CollectionShown]


class DocumentShown(BaseModel):
    """A document as its collection has it."""

    model_config = ConfigDict(extra="allow")

    id: int
    name: str | None
    language: str
    meta: dict[str, Any]
    chunks: int
    indexed_at: datetime


class PageShown(BaseModel):
    """A page, and where it stands in the text, in characters."""

    model_config = ConfigDict(extra="allow")

    page: int = Field(description="Counted from 1")
    start: int
    end: int
    width: float | None = Field(None, description="In points, as the page is shown; null where it is not known")
    height: float | None = None
    by: str | None = Field(None, description="`ocr` where its words are guessed from a picture; else `text`")


class DocumentDetails(BaseModel):
    """A document as it was submitted, and as it was read."""

    model_config = ConfigDict(extra="allow")

    id: int
    name: str | None
    media_type: str
    sha256: str
    bytes: int | None = Field(description="Of the file; null where its content was erased")
    chars: int | None = Field(description="Of its text; null before it is read")
    pages: list[PageShown] = Field(description="Empty before it is read, and where its format knows no pages")
    warnings: list[dict[str, Any]] | None = Field(
        description="What reading left out or only guessed: `kind`, `count`, `where`; null before it is read"
    )
    created_at: datetime


class DocumentPage(BaseModel):
    """Documents of a collection, by their ids."""

    model_config = ConfigDict(json_schema_extra={"examples": [DOCUMENTS_EXAMPLE]})

    documents: list[DocumentShown]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")


class HitShown(BaseModel):
    """A passage, and where it stands: characters of its document's text."""

    model_config = ConfigDict(extra="allow")

    document_id: int
    document: str | None = Field(description="Its name")
    start: int
    end: int
    text: str
    meta: dict[str, Any]
    score: float
    word_score: float | None = Field(description="BM25")
    cosine: float | None


class Hits(BaseModel):
    """What was found, the best first."""

    model_config = ConfigDict(json_schema_extra={"examples": [HITS_EXAMPLE]})

    hits: list[HitShown]


class JobShown(Job):
    """A job as it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB_EXAMPLE]})


class RunWanted(BaseModel):
    """Documents that are about to be submitted together, and what is wanted of each."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [RUN_EXAMPLE]})

    name: Annotated[Storable, Field(min_length=1)]
    prompt: Storable = Field(description="As `docmill prompts list` names it")
    version: Storable | None = Field(None, description="Of the prompt; else the highest that is no draft")
    feature: Storable = Field("default", description="What costs are summed by")
    user: Storable = Field("", description="What costs are summed by")
    lane: Lane = "bulk"
    metadata: Metadata = Field({}, description="What you say of it: at most 16 texts, returned with the run")
    expected: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = Field(None, description="How many there will be")


class LineWanted(BaseModel):
    """A document of a run."""

    model_config = ConfigDict(extra="forbid")

    key: Annotated[str, Field(min_length=1, max_length=150, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        description="Your own: the same line is one job, however often it comes"
    )
    document: str = Field(min_length=1, description="The text")
    name: PathText | None = Field(None, description="Of the document; with its path, as in inbox/tea.txt")
    deadline: Deadline | None = Field(None, description="Seconds from now, or a time of ISO 8601")
    params: Params = Field({}, description="Variables of the prompt's templates")
    metadata: Metadata = Field({}, description="Returned with the job")


class FailedFirst(BaseModel):
    """A job that failed."""

    id: int
    path: str | None
    failure: dict[str, Any] | None


class RunListed(BaseModel):
    """Documents that were submitted together, and how many are in each state."""

    model_config = ConfigDict(extra="allow")

    id: int
    name: str
    cause: str = Field(description="submit (the command), api or schedule")
    submit: dict[str, Any] = Field(description="What is wanted of each document")
    metadata: dict[str, Any]
    expected: int | None
    created_at: datetime
    closed_at: datetime | None = Field(description="null where it takes more documents")
    state: Literal["running", "ended"] = Field(
        description="ended: all its jobs have, and it was closed, or has as many documents as `expected` said"
    )
    total: int
    afresh: int = Field(description="Of `total`: asked once more, which are none of the documents `expected`")
    states: dict[str, int]
    reasons: dict[str, int] = Field(description="By the kind of the failure, or what held jobs wait for")


class RunShown(RunListed):
    """A run as it stands."""

    open: int = Field(description="Jobs that have not ended")
    ended: int
    cost_usd: str | None = Field(description="A decimal; null where a call's cost is unknown")
    accepted_usd_each: str | None = Field(description="For each document that is done")
    per_minute: float = Field(description="Documents that ended within the last minute")
    eta_s: float | None = Field(description="Seconds until the last has ended, at that pace; null where none ends")
    first_failures: list[FailedFirst]


class RunPage(BaseModel):
    """Runs, the newest first."""

    runs: list[RunListed]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")


class PriceShown(BaseModel):
    """What trying jobs again costs, as far as can be said before."""

    jobs: int
    free: int = Field(description="Have a reply that is paid for, and use it")
    usd: str = Field(description="About so much for the others; a decimal")
    unknown: int = Field(description="Of so many nothing is known")


class ActedOn(BaseModel):
    """What became of a run's jobs."""

    jobs: int = Field(description="So many it was done to")
    refused: dict[int, str] = Field(description="Jobs to which nothing was done, and why")
    left: int = Field(description="A request acts on 1,000 jobs: so many are left for the next")
    next: str | None = Field(None, description="The `cursor` that leads to those that are left; null for none")
    price: PriceShown | None


class StageShown(BaseModel):
    """One publication of a job's chain, from that stage on."""

    model_config = ConfigDict(extra="allow")

    epoch: int
    stage: str
    cause: str
    at: datetime
    late_s: float | None = Field(
        description="Where recovery drove a job that got stuck: seconds since somebody had to look at it."
    )


class CallShown(BaseModel):
    """One call to a model, as the ledger has it."""

    model_config = ConfigDict(extra="allow")

    id: Any
    purpose: str
    attempt: int
    part: int = Field(description="Of the document; 0 is the whole")
    state: str
    model: str
    cost_usd: str | None
    possibly_billed: bool


class JobDetails(JobShown):
    """A job with how it came to where it is."""

    stages: list[StageShown]
    attempts: list[CallShown]
    context: dict[str, Any] | None = Field(
        None,
        description="Of a document asked in parts: how many parts, pages and rows, and what is not covered",
    )


class CountsShown(BaseModel):
    """How many of the jobs that are asked for are in each state, and why those failed, wait, or go to a person."""

    total: int
    states: dict[str, int]
    reasons: dict[str, int] = Field(description="By the kind of the failure, or what held jobs wait for")


class JobPage(BaseModel):
    """Jobs, the newest first."""

    jobs: list[SerializeAsAny[ListedJob]]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")
    counts: CountsShown | None = Field(None, description="Where they are asked for")
