"""Every error as problem details (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from docmill.errors import (
    DocmillError,
    IdempotencyConflict,
    JobNotFit,
    JobUnknown,
    Misconfigured,
    PromptUnknown,
    ServiceAway,
    SubmitRefused,
)

__all__ = ["PROBLEM", "Problem", "install"]

PROBLEM = "application/problem+json"
STATUS: tuple[tuple[type[DocmillError], int], ...] = (
    (JobUnknown, 404),
    (JobNotFit, 409),
    (IdempotencyConflict, 409),
    (PromptUnknown, 422),
    (SubmitRefused, 422),
    (ServiceAway, 503),
    (Misconfigured, 422),
)

log = structlog.get_logger()


class Problem(HTTPException):
    """An error with a status of its own."""


def install(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    @app.exception_handler(DocmillError)
    async def told(_: Request, error: DocmillError) -> JSONResponse:
        status = next((status for kind, status in STATUS if isinstance(error, kind)), 400)
        return _problem(status, str(error))

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [{"field": ".".join(map(str, each["loc"][1:])), "rule": each["msg"]} for each in error.errors()]
        detail = "; ".join(f"{each['field'] or 'the body'}: {each['rule']}" for each in found)
        return _problem(422, detail, errors=found)

    @app.exception_handler(SQLAlchemyError)
    async def away(_: Request, error: SQLAlchemyError) -> JSONResponse:
        log.warning("database_away", error=type(error).__name__)
        return _problem(503, "the database does not answer: try again in a moment", {"retry-after": "5"})


def _problem(status: int, detail: str, headers: dict[str, str] | None = None, **more: Any) -> JSONResponse:
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(content, status_code=status, media_type=PROBLEM, headers=headers)
