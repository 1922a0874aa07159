"""The end of an index job: its document's chunks and vectors, and the job's end, in one transaction."""

from __future__ import annotations

from db import chunks, collections, transitions
from db.jobs import Job
from tasks.celery.drive import drive
from tasks.services import Services
from tasks.stages.chunk import passage, text_gone
from tasks.stages.step import Onward, Step, Stop

__all__ = ["store_chunks"]


def store_chunks(services: Services, job: Job) -> Step:
    """The loser of a duplicate changes nothing; a vector that has gone meanwhile is asked for again."""
    document, chosen = job.document, job.context or {}
    if document is None or document.text is None:
        return text_gone(services, job)
    indexed = chunks.Indexed(
        tenant=job.tenant,
        collection=job.collection or "",
        collection_id=chosen["collection_id"],
        document_id=document.id,
        language=chosen["language"],
        meta=job.params.get("meta") or {},
    )
    passages = [passage(document.text, start, end) for start, end in chosen["passages"]]
    told = {"collection": job.collection, "chunks": len(passages), "language": indexed.language}
    with services.database.work() as connection:
        models = collections.models_of(connection, indexed.collection_id)
        if chunks.write(connection, indexed, passages, models):
            ended = transitions.store(connection, job.but(value={"answer": told}), "done", failure=None)
            if ended is None:
                connection.rollback()
            return Onward() if ended else Stop("stale")
        connection.rollback()
    again = services.database.run(drive, services, job, "embed", "vectors gone")
    return Stop("vectors gone", (again,)) if again else Stop("stale")
