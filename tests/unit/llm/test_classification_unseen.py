"""Errors in other words and envelopes than those on record, written after what providers document.

A row of ``unseen_errors.jsonl`` holds the response, and what is right: kind, wait, limit and actual tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docmill.llm import classify

REAL_ERRORS = Path(__file__).parents[4] / "shared" / "data" / "provider_errors.json"

ROWS = [
    json.loads(line) for line in (Path(__file__).parent / "unseen_errors.jsonl").read_text("utf-8").splitlines()
]
RIGHT = ("kind", "retry_after_s", "limit_tokens", "actual_tokens")


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['provider']}-{number}" for number, row in enumerate(ROWS)])
def test_a_body_that_was_not_on_record_is_classified_by_rule(row: dict[str, Any]) -> None:
    failure = classify(
        provider=row["provider"], status=row["status"], headers=row.get("headers", {}), body=row["body"]
    )
    assert [getattr(failure, name) for name in RIGHT] == [row.get(name) for name in RIGHT]


def envelopes(body: Any, status: int) -> Iterator[Any]:
    """The same complaint as gateways, proxies and other versions wrap it."""
    raw = body if isinstance(body, str) else json.dumps(body)
    yield raw
    yield {"error": {"message": "Provider returned error", "code": status, "metadata": {"raw": raw}}}
    if isinstance(body, dict):
        yield [body]
        yield {"error": {"message": "Provider returned error", "code": status, "metadata": {"raw": body}}}
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, str):
        yield {"message": error}
        yield {"detail": error}
    if isinstance(error, dict):
        yield {"object": "error", **error}
        yield {"error": {"message": raw, "code": status}}
        yield {"error": {"details": None, **error}}
        if error.get("code") is None:
            yield {"error": {**error, "code": ""}}
        elif isinstance(error["code"], int):
            yield {"error": {**error, "code": str(error["code"])}}


@pytest.mark.skipif(not REAL_ERRORS.exists(), reason="the recorded provider errors (../shared/data) are not here")
def test_every_recorded_error_is_the_same_in_any_envelope() -> None:
    wrong = []
    for row in json.loads(REAL_ERRORS.read_text()):
        if row["status"] < 400 or not row["body"]:
            continue
        headers = {name.upper(): value for name, value in row["headers"].items()}
        right = [row["expect"].get(name) for name in RIGHT]
        for body in envelopes(row["body"], row["status"]):
            failure = classify(provider=row["provider"], status=row["status"], headers=headers, body=body)
            told = [getattr(failure, name) for name in RIGHT]
            wrong += [] if told == right else [(row["case"], body, told)]
    assert wrong == []
