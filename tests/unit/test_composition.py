"""Clients and pools are made in one place; whoever needs one is handed it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("cli", "db", "prompts", "tasks", "web", "workers")
HOMES = {
    "make_engine": {"db/database.py"},
    "HttpTransport": {"workers/clients.py"},
    "LoopThread": {"workers/clients.py"},
    "RedisLimiter": {"workers/clients.py"},
    "TwoLayerCache": {"workers/clients.py"},
}


@pytest.mark.parametrize("name", HOMES)
def test_it_is_made_in_one_place(name: str) -> None:
    made = set()
    for path in (each for room in PRODUCT for each in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                made.add(str(path.relative_to(ROOT)))
    assert made == HOMES[name]
