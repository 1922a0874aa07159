"""Bodies of requests: taken, or refused by a problem that says what is wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tests.fuzz.examples import examples
from tests.fuzz.hostile import json_bodies, texts, values
from web.app import make_app
from web.fleet import Fleet

LOAD = ("requests_per_day", "input_tokens", "output_tokens", "input_price", "output_price", "scale", "retry_rate")


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    services = Services(
        settings=Settings(), database=Database(engine), registry=Registry(), publish=lambda _: None, owner="api"
    )
    return make_app(services, host="127.0.0.1", fleet=Fleet(start=lambda: None, check=lambda: None))


def answered(app: FastAPI, path: str, body: bytes) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, content=body, headers={"content-type": "application/json"})

    return asyncio.run(ask())


def assert_is_an_answer_or_a_problem(found: httpx.Response) -> None:
    assert found.status_code < 500, found.text
    if found.status_code >= 400:
        assert found.headers["content-type"] == "application/problem+json"
        assert found.json()["detail"]


def wanted(*fields: str) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields with hostile values, and now and then one that there is not."""
    return st.dictionaries(st.one_of(st.sampled_from(fields), texts()), values(), max_size=len(fields))


@examples(100)
@given(json_bodies(wanted(*LOAD)))
def test_a_load_is_forecast_or_refused(app: FastAPI, body: bytes) -> None:
    assert_is_an_answer_or_a_problem(answered(app, "/v1/forecast", body))
