"""Every error as problem details (RFC 9457)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException

from docmill.errors import (
    CollectionUnknown,
    DocmillError,
    EmbeddingAway,
    IdempotencyConflict,
    JobNotFit,
    JobUnknown,
    Misconfigured,
    PromptUnknown,
    RunUnknown,
    ServiceAway,
    SourceAway,
    SubmitRefused,
    WebhookUnknown,
)
from docmill.logs import where
from web.origins import told_to
from web.pages.rendering import render, wants_page
from web.request_ids import HEADER

__all__ = [
    "CODES",
    "PROBLEM",
    "Problem",
    "ProblemDetails",
    "details",
    "details_of",
    "documented",
    "install",
    "invalid",
]

PROBLEM = "application/problem+json"
STATUS: tuple[tuple[type[DocmillError], int], ...] = (
    (JobUnknown, 404),
    (RunUnknown, 404),
    (WebhookUnknown, 404),
    (CollectionUnknown, 404),
    (JobNotFit, 409),
    (IdempotencyConflict, 409),
    (PromptUnknown, 422),
    (SourceAway, 502),
    (SubmitRefused, 422),
    (ServiceAway, 503),
    (Misconfigured, 422),
)

log = structlog.get_logger()


class Problem(HTTPException):
    """An error with a status of its own; ``more`` are members beside those of the standard."""

    def __init__(self, status_code: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(status_code, detail, headers)
        self.more = more


class BrokenRule(BaseModel):
    """A field, and the rule that it breaks."""

    field: str
    rule: str


class ProblemDetails(BaseModel):
    """What went wrong, and what to do about it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`/problems/` and the code")
    code: str = Field(description="Which error it is, in words for programs, as `idempotency-conflict`")
    request_id: str | None = Field(
        None, description="As the header `Request-Id` has it, and every line of the log"
    )
    title: str = Field(description="The status in words")
    status: int
    detail: str = Field(description="What, where, and what to do")
    errors: list[BrokenRule] = Field(default=[], description="Of 422: each field that is wrong")


MEANING = {
    400: "The form, or the request itself, cannot be read",
    401: "No key, or not a valid one",
    403: "The key is valid, and lacks the scope for this",
    404: "No such thing, or another tenant's",
    408: "The body came too slowly",
    409: "The job's state, or its idempotency key, does not allow it",
    410: "It was erased",
    413: "Too large",
    415: "Neither JSON nor a form",
    422: "A field is wrong: `errors` says which",
    502: "The host of `document_url` does not answer, or not yet; try again later",
    503: "The database, or an embedding model, does not answer; try again after `Retry-After` seconds",
}


CODES = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "conflict",
    410: "erased",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    429: "too-many-requests",
    500: "defect",
    502: "source-away",
    503: "unavailable",
}
"""Of errors that are no DocmillError; the code of one that is, is its class in words."""

TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "That cannot be done here",
    409: "That cannot be done now",
    413: "Too large",
    422: "That does not fit",
    429: "Too much at once",
    500: "That broke",
    503: "Away just now",
}
"""Of pages: what HTTP calls them says little to people."""


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as a route's ``responses``; a key that is needed (401) may also lack a scope (403)."""
    wanted = sorted({*statuses, *((403,) if 401 in statuses else ())})
    reference = {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}
    return {status: {"description": MEANING[status], "content": {PROBLEM: reference}} for status in wanted}


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    @app.exception_handler(DocmillError)
    async def told(request: Request, error: DocmillError) -> Response:
        wait_s = error.failure.retry_after_s if isinstance(error, EmbeddingAway) else None
        headers = {"retry-after": f"{math.ceil(wait_s)}"} if wait_s else None
        return _told(request, _status_of(error), str(error), headers, code=_code_of(type(error)))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        more = error.more if isinstance(error, Problem) else {}
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if not isinstance(error, Problem) and isinstance(error.__cause__, ValueError | RecursionError):
            # FastAPI's 400 for bytes that are no text, or nest without an end: as all else that is no JSON.
            return _told(request, 422, "the body: no JSON that can be read")
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers |= _allowed(request)
        return _told(request, error.status_code, str(error.detail), headers, **more)

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> Response:
        found = invalid(error.errors(), skip=1)
        return _told(request, 422, found.detail, **found.more)

    @app.exception_handler(DataError)
    async def unstorable(request: Request, error: DataError) -> Response:
        log.warning("not_storable", error=type(error.orig).__name__)
        told = "a value cannot be stored as it is: a number too large, or a character of no text"
        return _told(request, 422, told)

    @app.exception_handler(SQLAlchemyError)
    async def away(request: Request, error: SQLAlchemyError) -> Response:
        log.warning("database_away", error=type(error).__name__)
        return _told(request, 503, "the database does not answer: try again in a moment", {"retry-after": "5"})

    @app.exception_handler(Exception)
    async def broke(request: Request, error: Exception) -> Response:
        # It comes here once the request is over for those who note whose lines are whose.
        log.error("request_broke", where=where(error), request_id=_request_id(request))
        headers = told_to(request, request.app.state.settings.origins)
        return _told(request, 500, "a defect of docmill: its log says more", headers)


def _allowed(request: Request) -> dict[str, str]:
    """All methods of the path; the router itself knows those of one of its routes."""
    path = getattr(request.scope.get("route"), "path", None)
    same = [each for each in iter_route_contexts(request.app.routes) if path and each.path == path]
    methods = {method for each in same for method in each.methods or ()}
    also = {"HEAD"} if "GET" in methods else set[str]()
    return {"allow": ", ".join(sorted(methods | also))} if methods else {}


def invalid(errors: Sequence[Any], *, skip: int = 0) -> Problem:
    """Pydantic's ``errors`` as a 422; ``skip`` leaves out the first parts of each place. No value is quoted."""
    found = [
        {"field": ".".join(map(str, each["loc"][skip:])) or "the body", "rule": each["msg"]} for each in errors
    ]
    return Problem(422, "; ".join(f"{each['field']}: {each['rule']}" for each in found), errors=found)


def _told(
    request: Request, status: int, detail: str, headers: dict[str, str] | None = None, **more: Any
) -> Response:
    """For a browser a page, on which one can sign in where that is what is missing; for others a problem."""
    if not wants_page(request):
        request_id = _request_id(request)
        told = details(status, detail, request_id=request_id, **more)
        sent = {**(headers or {}), **({HEADER: request_id} if request_id else {})}
        return JSONResponse(told, status_code=status, media_type=PROBLEM, headers=sent)
    # A browser that is asked for a name and a password has a window of its own for it.
    kept = {name: value for name, value in (headers or {}).items() if name != "www-authenticate"}
    phrase = HTTPStatus(status).phrase
    said = "" if detail == phrase else detail
    content = {"status": status, "title": TITLES.get(status, phrase), "detail": said}
    if status == HTTPStatus.UNAUTHORIZED:
        # A link on another site brings no session along; the same page, asked for by itself, does.
        again = request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site"
        content |= {"wanted": _address(request), "again": again, "may_sign_in": True}
    return render(
        request,
        "sign_in.html" if status == HTTPStatus.UNAUTHORIZED else "error.html",
        content,
        status=status,
        headers=kept,
    )


def _request_id(request: Request) -> str | None:
    return getattr(request.state, "request_id", None)


def _address(request: Request) -> str:
    """Where to go once who asks is known: only what is looked at can be asked for again."""
    if request.method != "GET":
        return "/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _status_of(error: DocmillError) -> int:
    return next((status for kind, status in STATUS if isinstance(error, kind)), 400)


def _code_of(kind: type[DocmillError]) -> str:
    """The class of the error, in words: ``idempotency-conflict``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()


def details(status: int, detail: str, *, code: str | None = None, **more: Any) -> dict[str, Any]:
    """The members of a problem, also of one within an answer: each says by its ``code`` what it is."""
    which = code or CODES.get(status, "refused")
    title = HTTPStatus(status).phrase
    return {
        "type": f"/problems/{which}",
        "code": which,
        "title": title,
        "status": status,
        "detail": detail,
        **more,
    }


def details_of(error: DocmillError) -> dict[str, Any]:
    """The same, of an error of docmill's."""
    return details(_status_of(error), str(error), code=_code_of(type(error)))
