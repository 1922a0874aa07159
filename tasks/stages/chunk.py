"""Chunk: a document's text in passages that can be found and pointed at."""

from __future__ import annotations

from db import collections
from db.chunks import Passage
from db.jobs import Job
from docmill.errors import CollectionUnknown, Failure
from docmill.llm.tokens import Counter
from docmill.retrieval import chunking
from docmill.retrieval.languages import language_of, searchable
from tasks.services import Services
from tasks.stages.step import Step, fail, go_on

__all__ = ["chunk", "passages_of", "text_gone", "texts_of"]

COUNTER = Counter(encoding="o200k_base")
"""Chunks are of about one size for every model: no search depends on some tokens more or less."""


def chunk(services: Services, job: Job) -> Step:
    """Parts the text; where, and its language, are kept in the job, and the chunks are made by store."""
    document = job.document
    if document is None or document.text is None:
        return text_gone(services, job)
    try:
        collection = services.database.run(collections.find, job.tenant, job.collection or "")
    except CollectionUnknown as error:
        return services.database.run(fail, job, Failure(kind="bad_request", message=str(error)))
    chosen = {
        "passages": [(each.start, each.end) for each in _parted(document.text)],
        "language": job.params.get("language") or language_of(document.text),
        "collection_id": collection.id,
    }
    return services.database.run(go_on, job, "embed", message_s=services.message_s, context=chosen)


def passages_of(text: str) -> list[Passage]:
    """The text's passages in order."""
    return [passage(text, each.start, each.end) for each in _parted(text)]


def passage(text: str, start: int, end: int) -> Passage:
    return Passage(start=start, end=end, text=text[start:end], searchable=searchable(text[start:end]))


def texts_of(job: Job) -> list[str]:
    """The texts of an index job's passages, once it has been through this stage."""
    text = job.document.text if job.document else None
    return [(text or "")[start:end] for start, end in (job.context or {}).get("passages", ())]


def text_gone(services: Services, job: Job) -> Step:
    failure = Failure(kind="unreadable", message="the document was deleted")
    return services.database.run(fail, job, failure, detail="empty")


def _parted(text: str) -> list[chunking.Chunk]:
    return chunking.chunk(text, count=COUNTER.estimate)
