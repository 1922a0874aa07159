"""How the house is built: one home for each thing, and no module that must know the whole of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOMS = ("cli", "db", "docmill", "prompts", "tasks", "web", "workers")
FILES = [
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "versions" not in path.parts and path.is_file()
]


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}
MOST = 15
"""Other modules of the house that one imports, wherever in it."""


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{each.name}" for each in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {each for each in found if each in MODULES} - {name_of(path)}


def test_no_module_imports_more_than_some_others() -> None:
    counts = {name: len(imported(path)) for name, path in MODULES.items()}
    assert {name: count for name, count in counts.items() if count > MOST} == {}


def test_jobs_are_changed_in_one_place() -> None:
    written = re.compile(r"update jobs\b", re.IGNORECASE)
    files = [*FILES, *(ROOT / "db" / "sql").glob("*.sql")]
    found = {path.name for path in files if written.search(path.read_text(encoding="utf-8"))}
    assert found == {"transitions.sql"}


def test_calls_are_written_in_two_places() -> None:
    """Intents before they are made, and those that were not made, as their answers were known."""
    written = re.compile(r"insert\s+into\s+calls\b", re.IGNORECASE)
    files = [*FILES, *(ROOT / "db" / "sql").glob("*.sql")]
    found = [path.name for path in files for _ in written.findall(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["ledger.sql", "transitions.sql"]


def test_no_module_is_imported_under_anothers_name() -> None:
    hidden = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                above = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                hidden += [
                    (name, each.name) for each in node.names if each.asname and above + each.name in MODULES
                ]
    assert hidden == []


def test_what_a_module_offers_somebody_else_takes() -> None:
    """``__all__`` is the interface: a name that only its own module knows is none."""
    others = [
        *FILES,
        *(path for room in ("bench", "docs", "setup", "tests") for path in (ROOT / room).rglob("*.py")),
    ]
    words = {path: set(re.findall(r"\w+", path.read_text(encoding="utf-8"))) for path in others}
    alone = {
        name: unused
        for name, path in MODULES.items()
        if (unused := [each for each in offered(path) if not any(each in words[o] for o in others if o != path)])
    }
    assert alone == {}


def offered(path: Path) -> list[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id == "__all__"
        ):
            return [name for name in ast.literal_eval(node.value) if not name.startswith("__")]
    return []


def test_no_function_does_more_than_a_screen_shows() -> None:
    long = [(name, each.name) for name, path in MODULES.items() for each in functions(path) if lines_of(each) > 40]
    assert long == []


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return [node for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Of its body, without its arguments and its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body and function.end_lineno else 0
