"""Replies of real models, and the edges of JSON, against what was meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docmill.errors import ReplyRejected
from docmill.parsing import parse

DATA = Path(__file__).parents[4] / "shared/data/4_malformed_llm_output"
REPLIES = DATA / "llm_json/dev/gold.jsonl"
EDGES = DATA / "jsontestsuite/dev/gold.jsonl"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the measuring data does not lie beside the project")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def answer(case: dict[str, Any]) -> tuple[object, ...]:
    """The one value; nothing where the reply is rejected."""
    try:
        return (parse(case["raw"], case.get("schema")),)
    except ReplyRejected:
        return ()


def same(found: object, meant: object) -> bool:
    """Equal as JSON: a truth is no number, and 1 is 1.0."""
    if isinstance(found, dict) and isinstance(meant, dict):
        return found.keys() == meant.keys() and all(same(found[key], meant[key]) for key in found)
    if isinstance(found, list) and isinstance(meant, list):
        return len(found) == len(meant) and all(map(same, found, meant))
    return isinstance(found, bool) == isinstance(meant, bool) and found == meant


def test_what_was_meant_beyond_doubt_is_found() -> None:
    cases = [case for case in rows(REPLIES) if case["recover"] == "must"]
    right = [case for case in cases if any(same(value, case["expected"]) for value in answer(case))]
    assert len(right) >= 0.97 * len(cases), sorted({case["id"] for case in cases} - {case["id"] for case in right})


def test_nothing_else_becomes_a_wrong_answer() -> None:
    wrong = []
    for case in rows(REPLIES):
        allowed = [case["expected"], *case.get("accept", ())]
        if case["truncated"] or case["recover"] == "must_not":
            allowed = []
        wrong += [case["id"] for value in answer(case) if not any(same(value, each) for each in allowed)]
    assert wrong == []


def test_the_edges_of_json_are_accepted_and_nothing_breaks() -> None:
    for case in rows(EDGES):
        text = (EDGES.parent / case["file"]).read_bytes().decode("utf-8", errors="replace")
        try:
            value = parse(text)
        except ReplyRejected:
            assert case["expect"] != "accept", case["id"]
        else:
            assert case["expect"] != "accept" or same(value, case["value"]), case["id"]
