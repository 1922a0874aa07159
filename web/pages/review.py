"""The review desk: one doubted answer after the other beside its document, decided with hands on the keyboard."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.datastructures import FormData

from db import documents, inspection, reports, reviews
from db.overview import reviews_waiting
from db.reviews import Clerk, Narrowed
from docmill.errors import JobNotFit
from prompts.order import in_prompts_order
from tasks.reviewing import ReviewRefused, Said, with_values
from web.access import OWN_SITE, Asking, Caller, Database, cookie_of, seen_address
from web.pages.answers import WHOLE, Value, doubts_of, values_of
from web.pages.papers import geometry_of, paper_of
from web.pages.rendering import render
from web.problems import Problem
from web.reviews import desk_of
from web.schemas import LARGEST_ID, Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

QUEUE = 50
MOST_FIELDS = 5_000
"""Of a form: each value has up to three."""
MOST_WORDS = 5_000
"""Of a page."""
JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
PageNumber = Annotated[int, Path(ge=1, le=100_000)]
After = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]


def narrowed(
    prompt: Storable | None = None, feature: Storable | None = None, order: Literal["dearest"] | None = None
) -> Narrowed:
    """Returns which answers the desk is for, and in which order, as the address has it."""
    return Narrowed(prompt=prompt or None, feature=feature or None, order=order)


Filter = Annotated[Narrowed, Depends(narrowed)]


def _link(path: str, filter_: Narrowed, **more: object) -> str:
    found = {each.name: getattr(filter_, each.name) for each in fields(filter_)} | more
    query = urlencode({name: value for name, value in found.items() if value is not None})
    return f"{path}?{query}" if query else path


def clerk(request: Request, asking: Asking) -> Clerk:
    """Returns who sits at this browser. Raises Problem for a key that may not review, or who comes from elsewhere.

    To look at an answer is to have it for five minutes, so that a link from elsewhere is more than a look.
    """
    asking.check("review")
    if request.headers.get("sec-fetch-site", "none") not in OWN_SITE:
        raise Problem(403, "another web site asks: open the review desk on docmill's own page")
    return Clerk(name=asking.name, desk=f"browser:{_desk(request)}")


AtDesk = Annotated[Clerk, Depends(clerk)]


def _desk(request: Request) -> str:
    """What tells a browser from all others: two of them never get the same answer."""
    known: str = request.cookies.get(_cookie(request)) or getattr(request.state, "desk", "") or ""
    if not known:
        known = request.state.desk = secrets.token_urlsafe(16)
    return known[:80]


def _cookie(request: Request) -> str:
    return f"{cookie_of(seen_address(request))}-desk"


def _with_desk(request: Request, answer: Response) -> Response:
    """Gives a browser its desk that has none yet."""
    if not request.cookies.get(_cookie(request)):
        secure = seen_address(request).scheme == "https"
        answer.set_cookie(
            _cookie(request), _desk(request), path="/", secure=secure, httponly=True, samesite="strict"
        )
    return answer


@router.get("/review", response_class=HTMLResponse)
def show_queue(request: Request, database: Database, asking: Asking, filter_: Filter) -> Response:
    """What waits, the oldest first, and a way to begin."""
    asking.check("read")
    with database.work() as connection:
        waiting = reviews.queue(connection, asking.tenant, filter_, limit=QUEUE)
        count = reviews_waiting(connection, asking.tenant)
        decided, seconds = reviews.decided_lately(connection, asking.tenant, asking.name)
        lately = reviews.decided_by(connection, asking.tenant, asking.name, limit=QUEUE)
    content = {
        "waiting": waiting,
        "count": count,
        "decided": decided,
        "lately": lately,
        "oldest": _link("/review", replace(filter_, order=None)),
        "dearest": _link("/review", replace(filter_, order="dearest")),
        "each_s": seconds / decided if decided else None,
        "filter": filter_,
        "begin": _link("/review/next", filter_),
        "prompts": sorted({each.prompt for each in waiting if each.prompt}),
    }
    return _with_desk(request, render(request, "reviews.html", content))


@router.get("/review/next")
def go_to_next(
    request: Request, database: Database, asking: Asking, at: AtDesk, filter_: Filter, after: After = None
) -> Response:
    """Goes to an answer that nobody else has; to the queue, where there is none."""
    with database.work() as connection:
        found = reviews.claim_next(connection, asking.tenant, at, filter_, after=after)
    to = "/review" if found is None else f"/review/{found}"
    return _with_desk(request, RedirectResponse(_link(to, filter_), status_code=303))


@router.get("/review/{job_id}", response_class=HTMLResponse)
def show_desk(
    job_id: JobId, request: Request, database: Database, asking: Asking, at: AtDesk, filter_: Filter
) -> Response:
    """One answer beside its document, claimed for whoever looks."""
    return _with_desk(request, _shown_desk(request, database, asking, at, job_id, filter_))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What a clerk had written when it was refused."""

    texts: Mapping[str, str]
    problems: tuple[str, ...]
    note: str


def _shown_desk(
    request: Request,
    database: Any,
    asking: Caller,
    at: Clerk,
    job_id: int,
    filter_: Narrowed,
    *,
    tried: Tried | None = None,
) -> Response:
    with database.work() as connection:
        found = inspection.inspect(connection, job_id, tenant=asking.tenant)
        claimed = reviews.claim(connection, asking.tenant, job_id, at)
        job = found.job
        value = in_prompts_order(request.app.state.registry, job.prompt, job.version, job.value)
        values = [] if value is None else values_of(found, value)
        paper = paper_of(connection, job.document_id, asking.tenant, values)
        count = reviews_waiting(connection, asking.tenant)
    if job.state != "needs_review":
        raise JobNotFit(f"job {job_id} is {job.state}: there is nothing to decide about it")
    doubts = (
        _by_path(tried.problems) if tried else {each.path: list(each.doubts) for each in values if each.doubts}
    )
    doubted = [each.path for each in values if each.path in doubts]
    content = {
        "job": job,
        "values": values,
        "doubts": doubts,
        "whole": _of_whole(_by_path(tried.problems) if tried else doubts_of(found.checks), values),
        "paper": paper,
        "claimed": claimed,
        "count": count,
        "first": doubted[0] if doubted else (values[0].path if values else ""),
        "doubted": len(doubted),
        "tried": tried,
        "filter": filter_,
        "here": _link(f"/review/{job_id}", filter_),
        "undo": _link("/review/undo", filter_),
        "later": _link("/review/next", filter_, after=job_id),
        "json": json.dumps(value, ensure_ascii=False, indent=2),
    }
    return render(request, "review.html", content, status=422 if tried else 200)


def _of_whole(doubts: Mapping[str, Sequence[str]], values: Sequence[Value]) -> list[tuple[str, str]]:
    """Doubts that lie in no one value that is shown: their path, and the sentence."""
    paths = {each.path for each in values}
    return [(path, sentence) for path, found in doubts.items() if path not in paths for sentence in found]


async def form_of(request: Request) -> FormData:
    """The form, read before a thread is taken for it."""
    return await request.form(max_files=0, max_fields=MOST_FIELDS)


Sent = Annotated[FormData, Depends(form_of)]


@router.post("/review/undo")
def undo(database: Database, asking: Asking, at: AtDesk, filter_: Filter) -> Response:
    """Takes the desk's latest decision back, and shows its answer again."""
    with database.work() as connection:
        found = reviews.undo(connection, asking.tenant, at)
    return RedirectResponse(_link("/review" if found is None else f"/review/{found}", filter_), status_code=303)


@router.post("/review/{job_id}/release", status_code=204)
def release(job_id: JobId, database: Database, asking: Asking, at: AtDesk) -> None:
    """Gives an answer back that somebody leaves."""
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=asking.tenant)
        reviews.release(connection, job_id, at)


@router.post("/review/{job_id}/claim", status_code=204)
def claim_longer(job_id: JobId, database: Database, asking: Asking, at: AtDesk) -> None:
    """Keeps an answer that somebody still looks at. Raises Problem where another desk has it."""
    with database.work() as connection:
        reports.job_report(connection, job_id, tenant=asking.tenant)
        is_mine = reviews.claim(connection, asking.tenant, job_id, at)
    if not is_mine:
        raise Problem(409, f"job {job_id} is somebody else's by now")


@router.get("/review/{job_id}/words/{page}")
def words(job_id: JobId, page: PageNumber, database: Database, asking: Asking) -> Response:
    """The words of a page, to be marked: four edges in percent, start and end in the text, and the word."""
    asking.check("read")
    with database.work() as connection:
        job = reports.job_report(connection, job_id, tenant=asking.tenant)
        document = documents.shown(connection, job.document_id or 0, asking.tenant)
        text = documents.text_of(connection, job.document_id or 0, asking.tenant) or ""
    found = [] if document is None else geometry_of(document).words_on(page)
    return JSONResponse(
        [
            [*(round(100 * edge, 2) for edge in box), start, end, text[start:end]]
            for start, end, box in found[:MOST_WORDS]
        ]
    )


@router.post("/review/{job_id}/check")
def check_values(
    job_id: JobId, request: Request, database: Database, asking: Asking, at: AtDesk, form: Sent
) -> Response:
    """What the prompt's checks say of what stands in the form: sentences by path."""
    with database.work() as connection:
        subject = reviews.subject_of(connection, asking.tenant, job_id, at).subject
    found = desk_of(request).check(subject, _value_in(form, subject.value))
    return JSONResponse(_by_path(found.problems))


@router.post("/review/{job_id}")
def decide(
    job_id: JobId,
    request: Request,
    database: Database,
    asking: Asking,
    at: AtDesk,
    filter_: Filter,
    form: Sent,
) -> Response:
    """Keeps the form's decision, and goes on to the next answer; or shows it again, with what does not pass."""
    with database.work() as connection:
        before = reports.job_report(connection, job_id, tenant=asking.tenant).value
    said = _said(form, before)
    try:
        desk_of(request).decide(asking.tenant, job_id, at, said)
    except ReviewRefused as refused:
        tried = Tried(texts=_texts(form), problems=refused.problems, note=said.note)
        return _shown_desk(request, database, asking, at, job_id, filter_, tried=tried)
    return RedirectResponse(_link("/review/next", filter_), status_code=303)


def _said(form: FormData, before: Any) -> Said:
    """Accepted, where nothing was changed; corrected, where something was."""
    note = _text(form, "note")[:2000]
    if _text(form, "decision") == "reject":
        return Said(decision="reject", note=note)
    value = _value_in(form, before)
    overruled = [name.removeprefix("overrule:") for name in form if name.startswith("overrule:")]
    if value == before:
        return Said(decision="accept", note=note)
    return Said(decision="correct", value=value, overruled=overruled, note=note, places=_places(form))


def _value_in(form: FormData, before: Any) -> Any:
    """The answer as the form has it: as JSON, where that was written, else value by value. Raises Problem."""
    written = _text(form, "json")
    if _text(form, "by-json") and written:
        try:
            return json.loads(written)
        except (ValueError, RecursionError) as error:
            raise Problem(422, "the answer as JSON cannot be read: mend it, or go back to its fields") from error
    return with_values(before, _texts(form))


def _texts(form: FormData) -> dict[str, str]:
    """What stands in the fields, by path."""
    return {name.removeprefix("value:"): _text(form, name) for name in form if name.startswith("value:")}


def _places(form: FormData) -> dict[str, dict[str, int]]:
    """Where values were marked in the document."""
    found = {}
    for name in form:
        start, _, end = _text(form, name).partition("-")
        if name.startswith("place:") and start.isdecimal() and end.isdecimal() and len(start + end) < 18:
            found[name.removeprefix("place:")] = {"start": int(start), "end": int(end)}
    return found


def _text(form: FormData, name: str) -> str:
    given = form.get(name)
    return given.replace("\r\n", "\n") if isinstance(given, str) else ""


def _by_path(problems: Sequence[str]) -> dict[str, list[str]]:
    """Sentences by the path of the value that they are about."""
    told: dict[str, list[str]] = {}
    for problem in problems:
        path, _, sentence = problem.partition(": ")
        told.setdefault("" if path == WHOLE else path, []).append(sentence or problem)
    return told
