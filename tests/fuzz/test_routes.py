"""Every route of the API with whatever path, query, headers and body: an answer, or a problem that says what is wrong."""

from __future__ import annotations

import asyncio
import re
import resource
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from db.submit import Submission, submit
from tests.fuzz.examples import examples
from tests.fuzz.hostile import json_bodies, numbers, texts, values
from tests.integration.test_api_edges import app_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "content-length",
    "idempotency-key",
    "if-match",
    "range",
    "cookie",
)
TYPES = (
    "application/json",
    "multipart/form-data; boundary=x",
    "text/plain",
    "application/x-www-form-urlencoded",
    "",
)
Route = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""Method and path, the names of its parameters, and of fields that a body may have."""
LARGEST_ANSWER = 2**20
MOST_GROWTH_KB = 300_000
"""Of the process, while a test runs: no request may take more than its size some times over."""


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    return app_of(engine)


@pytest.fixture
def routes(app: FastAPI) -> list[Route]:
    """Once a test and not once an example: the document that tells them is made anew each time."""
    return described(app)


def written() -> st.SearchStrategy[str]:
    """As it stands in an address."""
    plain = st.one_of(texts(), numbers().map(str), st.integers(1, 9).map(str))
    return plain.map(lambda text: quote_from_bytes(text[:2000].encode("utf-8", "surrogatepass"), safe="{}[]:,"))


def described(app: FastAPI) -> list[Route]:
    """Each operation with the names of its parameters and of its body's fields, and each page."""
    found = app.openapi()
    schemas = found["components"]["schemas"]
    fields = tuple(sorted({name for schema in schemas.values() for name in schema.get("properties", {})}))
    routes: list[Route] = []
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            names = tuple(each["name"] for each in operation.get("parameters", ()) if each["in"] == "query")
            routes.append((method, path, names, fields))
    return routes + pages(app, fields)


def pages(app: FastAPI, fields: tuple[str, ...]) -> list[Route]:
    made: list[Route] = []
    for route in iter_route_contexts(app.routes):
        if isinstance(route.route, APIRoute) and not route.route.include_in_schema:
            names = tuple(taken_by(route.route.dependant))
            own = ("id", "decision", "value:total", "json", "by-json", "action", "name", "cap", "key", "next")
            path = route.route.path.replace(":path", "")
            made += [(method.lower(), path, names, own + fields) for method in route.route.methods or ()]
    return made


def taken_by(dependant: Dependant) -> Iterator[str]:
    """The parameters of a route, and of what it depends on."""
    yield from (field.alias for field in dependant.query_params)
    for below in dependant.dependencies:
        yield from taken_by(below)


class FirstEvent:
    """The application for somebody who leaves once the first part of a stream has come: some have no end."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        came, whole, asked = asyncio.Event(), False, False

        async def receiving() -> Any:
            nonlocal asked
            if not asked:
                asked = True
                return await receive()
            await came.wait()
            return {"type": "http.disconnect"}

        async def sending(message: Any) -> None:
            nonlocal whole
            await send(message)
            if message["type"] == "http.response.body":
                whole = not message.get("more_body", False)
                came.set()

        await self.app(scope, receiving, sending)
        if not whole:
            await send({"type": "http.response.body"})


def ask(app: FastAPI, method: str, address: str, body: bytes, headers: dict[bytes, bytes]) -> httpx.Response:
    async def asked() -> httpx.Response:
        asked_of = FirstEvent(app) if address.partition("?")[0].endswith("/events") else app
        transport = httpx.ASGITransport(asked_of, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(
                method, httpx.URL(f"http://127.0.0.1{address}"), content=body, headers=headers
            )

    return asyncio.run(asked())


def form(fields: dict[str, Any]) -> bytes:
    parts = [
        b'--x\r\ncontent-disposition: form-data; name="%b"%b\r\n\r\n%b\r\n'
        % (_plain(name), b'; filename="a.txt"' if name == "file" else b"", _plain(value))
        for name, value in fields.items()
    ]
    return b"".join([*parts, b"--x--\r\n"])


def _plain(value: Any) -> bytes:
    return str(value)[:5000].encode("utf-8", "surrogatepass")


@st.composite
def requests(draw: st.DrawFn, routes: list[Route]) -> Any:
    method, path, names, fields = draw(st.sampled_from(routes))
    for name in re.findall(r"{(\w+)}", path):
        path = path.replace(f"{{{name}}}", draw(st.one_of(written(), st.just("1"))))
    query = draw(
        st.lists(st.tuples(st.one_of(st.sampled_from(names or ("x",)), written()), written()), max_size=3)
    )
    address = path + ("?" + "&".join(f"{name}={value}" for name, value in query) if query else "")
    shape = st.dictionaries(st.one_of(st.sampled_from(fields), texts()), values(), max_size=5)
    body = draw(st.one_of(st.just(b""), json_bodies(shape), shape.map(form)))
    headers = draw(st.dictionaries(st.sampled_from(HEADERS).map(str.encode), texts().map(_header), max_size=3))
    headers[b"content-type"] = draw(st.sampled_from(TYPES)).encode()
    return draw(st.one_of(st.just(method.upper()), st.sampled_from(METHODS))), address, body, headers


def _header(text: str) -> bytes:
    """As servers let it through: without line breaks and NUL."""
    written = text[:2000].encode("utf-8", "surrogatepass")
    return bytes(byte for byte in written if byte >= 0x20 and byte != 0x7F).strip()


def assert_is_an_answer_or_a_problem(found: httpx.Response, method: str) -> None:
    assert found.status_code < 500, found.text
    assert len(found.content) < LARGEST_ANSWER
    if found.status_code >= 400 and method != "HEAD":
        assert found.headers["content-type"] == "application/problem+json"
        told = found.json()
        assert told["status"] == found.status_code
        assert told["detail"]
        assert "Traceback" not in found.text


@examples(300)
@given(data=st.data())
def test_every_route_answers_or_says_what_is_wrong(app: FastAPI, routes: list[Route], data: st.DataObject) -> None:
    method, address, body, headers = data.draw(requests(routes))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        found = ask(app, method, address, body, headers)
    except httpx.InvalidURL:
        return  # no client sends it
    assert_is_an_answer_or_a_problem(found, method)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KB


@examples(20)
@given(
    query=st.dictionaries(st.sampled_from(("x", "cursor", "after")), written(), max_size=2),
    job=st.just("1") | written(),
)
def test_whoever_follows_and_leaves_is_answered(
    app: FastAPI, engine: Engine, query: dict[str, str], job: str
) -> None:
    with engine.begin() as connection:
        wanted = Submission(prompt="receipt", body=b"TOTAL 4.10", idem_key="followed", feature="f")
        followed = submit(connection, wanted)
    app.state.followed.most = 1  # who has left holds no place
    asked_with = "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
    for path in (f"/v1/jobs/{followed}/events", f"/v1/jobs/{job}/events", f"/v1/runs/{job}/events"):
        found = ask(app, "GET", path + asked_with, b"", {})
        assert_is_an_answer_or_a_problem(found, "GET")
        if found.status_code == 200:
            assert found.text.startswith("event: ")
