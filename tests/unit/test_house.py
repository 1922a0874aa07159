"""How the house is built: one home for each thing, and no module that must know the whole of it."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("cli", "db", "docmill", "prompts", "tasks", "web", "workers")
FILES = [
    path
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "versions" not in path.parts and path.is_file()
]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in FILES}
MOST = 15
"""Other modules of the house that one imports, wherever in it."""


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{each.name}" for each in node.names}
            found |= {name if name in MODULES else node.module for name in names}
    return {each for each in found if each in MODULES} - {name_of(path)}


def test_no_module_imports_more_than_some_others() -> None:
    counts = {name: len(imported(path)) for name, path in MODULES.items()}
    assert {name: count for name, count in counts.items() if count > MOST} == {}


KEPT_BY_A_TRIGGER = "update jobs set held_until = 'epoch', turn = docmill_turn(stage, crashes) where id = new.id;"
"""It moves no job: two columns follow where somebody else has moved one (docs/decisions/0205)."""


def test_jobs_are_changed_in_one_place() -> None:
    written = re.compile(r"update\s+jobs\b", re.IGNORECASE)
    files = [*FILES, *(ROOT / "db" / "sql").glob("*.sql")]
    texts = [(path.name, path.read_text(encoding="utf-8").replace(KEPT_BY_A_TRIGGER, "", 1)) for path in files]
    assert {name for name, text in texts if written.search(text)} == {"transitions.sql"}


def test_calls_are_written_in_two_places() -> None:
    """Intents before they are made, and those that were not made, as their answers were known."""
    written = re.compile(r"insert\s+into\s+calls\b", re.IGNORECASE)
    files = [*FILES, *(ROOT / "db" / "sql").glob("*.sql")]
    found = [path.name for path in files for _ in written.findall(path.read_text(encoding="utf-8"))]
    assert sorted(found) == ["ledger.sql", "transitions.sql"]


SQL_STANDS_IN = {
    "db.answer_views": "a view's columns are those of a prompt's schema",
    "db.migrations": "migrations, and the functions put in after them",
    "db.migrations.rights": "names of roles are no values",
    "db.search": "a question's statement is composed, so that its index is found",
    "docmill.client.transaction": "the wheel has no db/sql; it names arguments as its caller's driver does",
    "workers.stack.servers": "the database is made by it, and is there no sooner",
}
"""Modules with SQL in Python's strings, and why it stands in no file of ``db/sql``."""

BEGINS_SQL = re.compile(
    r"""(?:--.*\n|\s)*(?:
    select\s+(?:$|\d|\*|distinct\b|current_|true\b|false\b|null\b|exists\b|\S+\(|(?:.*?\s)?from\s)
    | insert\s+into\s | update\s+(?:only\s+)?\S+\s+(?:as\s+)?(?:\S+\s+)?set\s+\S+\s*= | delete\s+from\s
    | with\s+(?:recursive\s+)?\S+\s*(?:\([^)]*\)\s*)?as\s+(?:not\s+)?(?:materialized\s+)?\(
    | (?:create|alter|drop)\s+(?:or\s+replace\s+)?(?:unique\s+|materialized\s+|temp\w*\s+|unlogged\s+)*
      (?:table|view|index|role|user|database|function|trigger|type|extension|schema|sequence|policy)\s+\S
    | truncate\s+\S | (?:grant|revoke)\s.*\s(?:on|to|from)\s | lock\s+table\s | merge\s+into\s
    | comment\s+on\s+(?:table|view|column|function|index|role|database)\s
    | (?:un)?listen\s+[a-z_]+$ | notify\s+[a-z_]+(?:,|$) | copy\s+\S+\s*(?:\([^)]*\)\s*)?(?:from|to)\s+std
    | set\s+(?:local\s+|session\s+)\S | (?:explain|vacuum|analyze)\s+(?:\(|select|[a-z_]+$))""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
GOES_ON_IN_SQL = re.compile(
    r"\b(?:(?:cross|left|right|inner|full)\s+(?:outer\s+)?join|join\s+lateral|group\s+by|order\s+by|on\s+conflict"
    r"|for\s+(?:no\s+key\s+)?update)\b",
    re.IGNORECASE,
)
"""What hardly a sentence has, for a statement that is put together out of pieces."""


def is_sql(words: str) -> bool:
    return bool(BEGINS_SQL.match(words) or GOES_ON_IN_SQL.search(words))


def strings(path: Path) -> list[str]:
    """Of a module, those that are put together with what is known of them; docstrings are none."""
    tree = parsed(path)
    apart: set[int] = set()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            apart.add(id(node.value))
        if isinstance(node, ast.JoinedStr):
            apart |= {id(each) for each in node.values}
            found.append(
                "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in apart:
            found.append(node.value)
    return found


def test_sql_stands_in_files_of_its_own() -> None:
    found = {name for name, path in MODULES.items() if any(map(is_sql, strings(path)))}
    assert found == SQL_STANDS_IN.keys()


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        "SELECT id FROM jobs",
        "\n  select\n id, state\n from jobs",
        "-- the oldest\nselect min(id) from jobs",
        "select count(*) filter (where x) from jobs",
        "select docmill_submit({})",
        "select current_user",
        "select exists (select from budgets)",
        "insert into calls (id) values (1)",
        "update jobs set state = 'done'",
        "update {} as j set x=1",
        "delete from jobs where id = :id",
        "with gone as (delete from jobs returning id) select count(*) from gone",
        "with recursive t(n) as (values (1)) select n from t",
        "create unique index a on b (c)",
        "create or replace function f() returns void",
        "create view {} as {}",
        "alter table jobs add column x int",
        "drop index concurrently a",
        "truncate jobs",
        "grant select on {} to {}",
        "comment on view {} is {}",
        "listen docmill",
        "set local lock_timeout = '5s'",
        "lock table jobs in share mode",
        "analyze jobs",
        "left join documents d on d.id = j.document_id",
        "select ",
        "j.id in (1, 2) order by id",
    ],
)
def test_a_statement_is_known_as_one(statement: str) -> None:
    assert is_sql(statement)


@pytest.mark.parametrize(
    "words",
    [
        "Show what was paid for nothing, by its cause.",
        "With https, public; or at a host of DOCMILL_WEBHOOK_HOSTS.",
        "Delete it, with its text, from every collection.",
        "Comment on ",
        "set DOCMILL_PROMPTS to the folder of your own",
        "copy it from a prompt that ships, as prompts/receipt/v2",
        "create it, or name another",
        "Select a file to submit",
        "update docmill, then set its cap",
        "drop files here",
        "Begin a run",
        "select",
        "analyze it again",
        "Lock the table for others",
    ],
)
def test_a_sentence_is_no_statement(words: str) -> None:
    assert not is_sql(words)


def test_no_module_is_imported_under_anothers_name() -> None:
    hidden = []
    for name, path in MODULES.items():
        for node in ast.walk(parsed(path)):
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
    for node in parsed(path).body:
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


def test_no_module_is_longer_than_one_reads_at_a_sitting() -> None:
    assert [
        name for name, path in MODULES.items() if len(path.read_text(encoding="utf-8").splitlines()) > 600
    ] == []


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.walk(parsed(path))
    return [node for node in tree if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Of its body, without its arguments and its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body and function.end_lineno else 0
