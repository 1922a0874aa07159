"""``/openapi.json``: the document as it is sent, made apart from the event loop, with what its reader may know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute

from prompts import Registry
from web.access import caller
from web.openapi import Contents, contents, document
from web.problems import Problem

__all__ = ["operation_id", "serve"]

HEADERS = {"cache-control": "no-cache", "vary": "Authorization, Cookie"}
DEPTH = 3
"""Levels that are written member by member: the writer lets no other thread go on before its piece is done."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """The document as it is sent."""

    of: Contents
    body: bytes
    etag: str


def operation_id(route: APIRoute) -> str:
    """Returns what generated clients call the operation: ``submitJob``."""
    first, *others = route.name.split("_")
    return first + "".join(map(str.capitalize, others))


def serve(app: FastAPI, registry: Registry) -> None:
    """Puts the route in the place of FastAPI's, which makes the document and writes it at each request."""
    app.openapi = partial(document, app, registry)  # type: ignore[method-assign] # the documented way to extend it
    app.router.routes[:] = [each for each in app.router.routes if getattr(each, "path", None) != app.openapi_url]
    whole, plain = _Kept(app, registry), _Kept(app, None)

    async def openapi(request: Request) -> Response:
        written = await (whole if await _may_see_prompts(request) else plain).now()
        headers = {**HEADERS, "etag": written.etag}
        if written.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(written.body, media_type="application/json", headers=headers)

    app.add_route(app.openapi_url or "/openapi.json", openapi, include_in_schema=False)


class _Kept:
    """The document for the prompts that there are, made by one thread at a time, and kept as it is sent."""

    def __init__(self, app: FastAPI, registry: Registry | None) -> None:
        self._app = app
        self._registry = registry
        self._written: Written | None = None
        self._one = CapacityLimiter(1)

    async def now(self) -> Written:
        return await anyio.to_thread.run_sync(self._now, limiter=self._one)

    def _now(self) -> Written:
        there = {} if self._registry is None else contents(self._registry)
        if self._written is None or self._written.of != there:
            body = b"".join(piece.encode() for piece in _pieces(document(self._app, self._registry), DEPTH))
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            self._written = Written(of=there, body=body, etag=etag)
        return self._written


def _pieces(value: Any, depth: int) -> Iterator[str]:
    """The value as JSON, bit by bit."""
    if not depth or not isinstance(value, dict) or not value:
        yield json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return
    opening = "{"
    for name, each in value.items():
        yield f"{opening}{json.dumps(name, ensure_ascii=False)}:"
        yield from _pieces(each, depth - 1)
        opening = ","
    yield "}"


async def _may_see_prompts(request: Request) -> bool:
    """Whoever may ask ``/v1/prompts``. Raises Problem for a key that is shown, and is none."""
    try:
        await caller(request, request.app.state.database)
    except Problem:
        if "authorization" in request.headers:
            raise
        return False
    return True
