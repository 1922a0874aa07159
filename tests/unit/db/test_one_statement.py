"""What says of itself that it is one statement is one: it runs without a transaction around it."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest

import db
from tasks.stages import step

MODULES = [import_module(f"db.{each.name}") for each in pkgutil.iter_modules(db.__path__)]
MARKED = [
    function
    for module in (*MODULES, step)
    for _, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and hasattr(function, "one_statement")
]


@pytest.mark.parametrize("function", MARKED, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_it_hands_its_connection_on_once(function: Callable[..., Any]) -> None:
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    assert len(list(handed_on(tree))) == 1
    again = [part for node in ast.walk(tree) if isinstance(node, ast.For | ast.While) for part in node.body]
    assert not [each for part in again for each in handed_on(part)]


def handed_on(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls that are given the connection."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(
            isinstance(each, ast.Name) and each.id == "connection" for each in node.args
        ):
            yield node


def test_some_are_marked() -> None:
    assert len(MARKED) > 15
