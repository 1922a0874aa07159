"""OCR: the pages without a text to be trusted are read, one by one, in slices that let others have their turn.

Each page is kept as soon as it is read. So a worker that dies loses the page that it was at, and a document that
is submitted again, or waits for its next slice, goes on where it was.
"""

from __future__ import annotations

import time
from dataclasses import replace

from db import scans, transitions
from db.jobs import Document, Job
from db.scans import Known
from db.stages import Stage
from db.transitions import QUARANTINED_AT
from docmill.errors import Failure, Unreadable
from docmill.reading import Reading
from docmill.reading.reader import Reader, ReaderKilled
from docmill.reading.values import with_scans
from prompts.readiness import may_show
from tasks.pinning import prompt_of
from tasks.services import Services
from tasks.stages.step import Again, Onward, Step, Stop, fail, go_on

__all__ = ["SLICE_S", "ocr"]

SLICE_S = 10.0
"""After which a document gives way to others, once the page that it is at is read."""
MOST_LOOKED_AT = 20
"""Pages without a word that are looked at for ink."""
ANOTHERS_S = 2.0
"""So long a document waits that another job is reading, too."""


def ocr(services: Services, job: Job) -> Step:
    """The claimed job goes on to context when all its scans are read; before that it waits for its next slice."""
    document, reader = job.document, services.reader
    if document is None or document.text is None or document.body is None:
        message = "the document was deleted, or its content erased: submit it again"
        return services.database.run(fail, job, Failure(kind="unreadable", message=message), detail="empty")
    if reader is None:
        raise RuntimeError("this worker reads no files: OCR belongs to its own queue")
    if not document.scans:
        return _after_another(services, job, document)
    until = time.monotonic() + SLICE_S
    while True:
        known = services.database.run(scans.known, document.id)
        left = [page for page in document.scans if page not in known]
        if not left or _is_out_of_time(services, document):
            return _onward(services, reader, job, document, known)
        if not _read_next(services, reader, job, document, left):
            waits = services.database.run(transitions.count_down, job, countdown_s=ANOTHERS_S)
            return Again("another job reads it", ANOTHERS_S) if waits else Stop("stale")
        if len(left) > 1 and time.monotonic() >= until:
            moved = services.database.run(transitions.next_slice, job)
            return Stop("next slice" if moved else "stale")


def _after_another(services: Services, job: Job, document: Document) -> Step:
    """Another job has put the text together since; one without a word is for models that see its pages alone."""
    if (document.text or "").strip() or _may_be_shown(services, job):
        return services.database.run(go_on, job, _after(job), message_s=services.message_s)
    failure = Failure(kind="unreadable", message="OCR finds no text in it")
    return services.database.run(fail, job, failure, detail="empty")


def _is_out_of_time(services: Services, document: Document) -> bool:
    return services.database.run(scans.spent_s, document.id) > services.settings.ocr_within_s


def _read_next(services: Services, reader: Reader, job: Job, document: Document, left: list[int]) -> bool:
    """Reads a page that nobody else reads; False where there is none. Raises ReaderKilled, which is a crash."""
    limits = reader.limits
    page = services.database.run(scans.take, document.id, left, lease_s=limits.ocr_timeout_s + 10)
    if page is None:
        return False
    begun = time.monotonic()
    try:
        scan = reader.read_scan(bytes(document.body or b""), page, document.name)
    except Unreadable as error:
        if isinstance(error, ReaderKilled) and job.crashes < QUARANTINED_AT:
            services.database.run(scans.let_go, document.id, page)
            raise
        services.database.run(scans.fail, document.id, page, str(error), took_s=time.monotonic() - begun)
    except BaseException:
        services.database.run(scans.let_go, document.id, page)
        raise
    else:
        services.database.run(scans.keep, document.id, page, scan, took_s=time.monotonic() - begun)
    return True


def _onward(services: Services, reader: Reader, job: Job, document: Document, known: Known) -> Step:
    reading = _whole(document, known)
    if reading.empty and not _is_for_eyes(services, reader, job, document):
        # Whoever tries the job again has these pages tried again.
        services.database.run(scans.forget_failed, document.id)
        told = next(iter(known.failed.values()), None) or reading.warning or "there is no text in it"
        return services.database.run(fail, job, Failure(kind="unreadable", message=told), detail="empty")
    moved = services.database.run(
        transitions.advance_with_text,
        job,
        _after(job),
        message_s=services.message_s,
        version=job.version,
        content_hash=job.content_hash,
        document=document.as_read(reading),
    )
    return Onward() if moved else Stop("stale")


def _is_for_eyes(services: Services, reader: Reader, job: Job, document: Document) -> bool:
    """Whether a model is shown the pages, and something is drawn on one: what OCR cannot read, a model may."""
    return _may_be_shown(services, job) and any(
        _shows_ink(reader, document, page) for page in document.scans[:MOST_LOOKED_AT]
    )


def _may_be_shown(services: Services, job: Job) -> bool:
    return job.chain == "document" and may_show(prompt_of(services, job), services.settings.models)


def _shows_ink(reader: Reader, document: Document, page: int) -> bool:
    try:
        return reader.shows_ink(bytes(document.body or b""), page, document.name)
    except Unreadable:
        return False  # what cannot be drawn, no model can be shown


def _after(job: Job) -> Stage:
    return "chunk" if job.chain == "index" else "context"


def _whole(document: Document, known: Known) -> Reading:
    """The document with what was found on its scans; what was not is told."""
    reading = replace(document.reading, scans=tuple(document.scans))
    return with_scans(reading, known.scans)
