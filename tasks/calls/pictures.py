"""A call's pictures, drawn and in hand: their bytes are there only while it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from db.jobs import Job
from docmill.errors import Failure, Unreadable
from docmill.llm.types import Picture, Request
from docmill.reading import Busy
from docmill.reading.drawn import Drawn
from tasks import remedies
from tasks.calls.call import Call
from tasks.celery.drive import drive
from tasks.services import Services
from tasks.stages.seeing import fetched
from tasks.stages.step import Step, Stop, fail

__all__ = ["drawn_in", "with_pictures"]

BUSY_S = 3.0
"""After so long a job comes again whose pages could not be drawn, because others' were."""


def with_pictures(services: Services, call: Call) -> Call | Step:
    """Fetches the bytes of the call's pictures; returns what is done where they cannot be had."""
    try:
        request = _drawn(services, call.job, call.request)
    except Busy:
        return services.database.run(remedies.wait, call.job, BUSY_S, "pages")
    except Unreadable as error:
        return services.database.run(fail, call.job, Failure(kind="unreadable", message=str(error)))
    return _chosen_anew(services, call) if request is None else replace(call, request=request)


def _drawn(services: Services, job: Job, request: Request) -> Request | None:
    """None where a page is drawn otherwise than when it was chosen. Raises Unreadable, Busy."""

    def draw(picture: Picture) -> Drawn:
        return fetched(services, picture.document_id, job.tenant, picture.page, picture.dots_an_inch)

    shown = drawn_in(request, draw)
    return shown if all(sha256(each.content).hexdigest() == each.sha256 for each in shown.pictures) else None


def drawn_in(request: Request, draw: Callable[[Picture], Drawn]) -> Request:
    """Puts into the request the bytes of its pictures."""
    if not request.pictures:
        return request
    messages = [
        replace(message, pictures=tuple(replace(each, content=draw(each).content) for each in message.pictures))
        for message in request.messages
    ]
    return replace(request, messages=tuple(messages))


def _chosen_anew(services: Services, call: Call) -> Step:
    """What draws pages has changed since they were chosen, and so what is shown is chosen again."""
    with services.database.work() as connection:
        started = drive(connection, services, call.job, "context", "redrawn")
    return Stop("redrawn", (started,)) if started else Stop("stale")
