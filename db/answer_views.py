"""Answers as SQL views: one for each released version of a prompt, with typed columns, and one for each list.

A view is made out of the version's JSON Schema, by the owner of the tables, and made anew where that has changed.
A value that is not of its column's type (another content of the version was laxer) is null there and stands in
``answer``: no answer, whatever it holds, keeps a view from being read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from db.engine import is_passing
from db.statements import statements_of
from docmill.parsing.schema import SCALARS, choices_of, kinds, only_form
from docmill.storable import is_storable

__all__ = ["Answers", "View", "may_make", "name_of", "refresh", "views_of"]

SQL = statements_of("answer_views")

LOCK = 0x76696577
MOST_COLUMNS = 1000
"""Of a view; what an answer has beyond stands in ``answer`` alone."""
DEEPEST = 8
LONGEST_NAME = 63
"""Bytes, in Postgres."""
FACTS = {
    "job_id": "j.id",
    "tenant": "j.tenant",
    "run_id": "j.run_id",
    "feature": "j.feature",
    "usr": "j.usr",
    "name": "coalesce(j.name, d.name)",
    "path": "j.path",
    "state": "j.state",
    "finished_at": "j.finished_at",
    "revision": "r.revision",
    "author": "r.author",
    "answer": "r.value",
}
"""Columns before those of the answer."""
IN_LISTS = {"job_id": "j.id", "tenant": "j.tenant"}
"""Of each list's view; ``at`` is the row's place in the answer, as in evidence."""
FROM = """from jobs j
cross join lateral (
  select revision, author, value from results where job_id = j.id order by revision desc limit 1) r
left join documents d on d.id = j.document_id"""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """A version of a prompt, whose answers are to be seen."""

    prompt: str
    version: str
    schema: Mapping[str, Any]

    @property
    def key(self) -> str:
        return f"{self.prompt}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class View:
    """A view, and what it selects."""

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Refreshed:
    """What came of it, by prompt and version."""

    made: Sequence[str]
    refused: Mapping[str, str]
    """Views that could not be made anew, and why: another view is made of them, as a rule."""


@dataclass(kw_only=True)
class _Table:
    """A view in the making: of an answer, or of a list in it."""

    path: tuple[str, ...]
    source: str
    columns: dict[str, str]

    def add(self, name: str, expression: str) -> None:
        if len(self.columns) < MOST_COLUMNS + len(FACTS):
            self.columns[_free(name, self.columns)] = expression


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A value of an answer, as its table sees it."""

    value: str
    """In SQL."""
    column: str
    at: str
    """Its path below the table's row; empty for the row itself."""
    depth: int = 0

    def member(self, name: str) -> _Place:
        return _Place(
            value=f"{self.value} -> {_literal(name)}",
            column=f"{self.column}.{name}" if self.column else name,
            at=f"{self.at}.{name}" if self.at else name,
            depth=self.depth + 1,
        )


@dataclass(kw_only=True)
class _Walk:
    """Through an answer's schema, to all its tables."""

    root: Mapping[str, Any]
    tables: list[_Table] = field(default_factory=list)

    def begin(self, table: _Table, schema: Any, value: str, depth: int = 0) -> None:
        """Begins a table: an object's fields have columns of their own, anything else one called ``value``."""
        self.tables.append(table)
        only = _only(schema, self.root)
        if only.get("properties") and depth < DEEPEST:
            self._fields(table, only, _Place(value=value, column="", at="", depth=depth))
        else:
            self._put(table, schema, _Place(value=value, column="value", at="", depth=depth))

    def _fields(self, table: _Table, schema: Mapping[str, Any], place: _Place) -> None:
        for name, each in schema["properties"].items():
            if is_storable(name):  # no answer can have another
                self._put(table, each, place.member(name))

    def _put(self, table: _Table, schema: Any, place: _Place) -> None:
        """A field to its column, an object's fields to theirs, a list to a view of its own."""
        only = _only(schema, self.root)
        if only.get("properties") and place.depth < DEEPEST:
            self._fields(table, only, place)
        elif isinstance(only.get("items"), Mapping) and "prefixItems" not in only and place.depth < DEEPEST:
            self._begin_list(table, only["items"], place)
        else:
            table.add(place.column, _typed(schema, self.root, place.value))

    def _begin_list(self, parent: _Table, items: Any, place: _Place) -> None:
        alias = f"l{len(self.tables)}"
        elements = f"case when jsonb_typeof({place.value}) = 'array' then {place.value} else '[]' end"
        source = f"cross join lateral jsonb_array_elements({elements}) with ordinality {alias}(item, place)"
        before = [f"{parent.columns['at']} || '.'"] if "at" in parent.columns else []
        below = [_literal(f"{place.at}.")] if place.at else []
        at = " || ".join([*before, *below, f"({alias}.place - 1)::text"])
        table = _Table(
            path=(*parent.path, place.column),
            source=f"{parent.source}\n{source}",
            columns={**IN_LISTS, "at": at},
        )
        self.begin(table, items, f"{alias}.item", place.depth + 1)


def views_of(answers: Answers, taken: Iterable[str] = ()) -> list[View]:
    """The views of a version's answers, that of whole answers first. Names in ``taken`` are others'."""
    walk = _Walk(root=answers.schema)
    walk.begin(_Table(path=(), source=FROM, columns=dict(FACTS)), answers.schema, "r.value")
    base = name_of(answers)
    where = f"where j.prompt = {_literal(answers.prompt)} and j.version = {_literal(answers.version)}"
    names = {*taken}
    found = []
    for table in walk.tables:
        name = _free("_".join([base, *table.path]), names, instead="") if table.path else base
        names.add(name)
        columns = ", ".join(f"{expression} as {_identifier(name)}" for name, expression in table.columns.items())
        found.append(View(name=name, text=f"select {columns}\n{table.source}\n{where}"))
    return found


def name_of(answers: Answers) -> str:
    """Returns what the view of a version's whole answers is called."""
    return _free(f"docmill_results_{answers.prompt}_{answers.version}", (), instead="")


def may_make(owner: Connection) -> bool:
    """Returns whether this connection's role owns what the views show."""
    return bool(SQL["may_make"].scalar(owner))


def refresh(owner: Connection, wanted: Sequence[Answers], *, readers: Sequence[str] = ()) -> Refreshed:
    """Makes the views that are missing, or of another schema, as the owner of the tables; others stay.

    Who could read them still can, and ``readers`` can. Raises what passes, as that somebody reads for long.
    """
    SQL["wait_briefly"].scalar(owner)
    SQL["lock"].scalar(owner, {"key": LOCK})
    there: dict[str, list[Any]] = {}
    for row in SQL["marked"].rows(owner):
        there.setdefault(row.mark, []).append(row)
    taken = {name_of(each) for each in wanted}
    made, refused = [], {}
    for answers in wanted:
        views = views_of(answers, taken)
        mark = _mark(answers, views)
        old = [row for key, rows in there.items() if key.rpartition(" ")[0] == _whose(answers) for row in rows]
        if {row.mark for row in old} == {mark} and len(old) == len(views):
            continue
        try:
            with owner.begin_nested():
                _make(owner, views, old, mark, readers)
        except DBAPIError as error:
            if is_passing(error):
                raise
            refused[answers.key] = str(error.orig).strip().splitlines()[0]
        else:
            made.append(answers.key)
    return Refreshed(made=made, refused=refused)


def _make(owner: Connection, views: Sequence[View], old: Sequence[Any], mark: str, readers: Sequence[str]) -> None:
    may_read = {*readers, *(reader for row in old for reader in row.readers)}
    for row in old:
        _run(owner, "drop view {}", sql.Identifier(row.name))
    for view in views:
        name = sql.Identifier(view.name)
        _run(owner, "create view {} as {}", name, sql.SQL(view.text))
        _run(owner, "comment on view {} is {}", name, sql.Literal(mark))
        for reader in sorted(may_read):
            _run(owner, "grant select on {} to {}", name, _role(reader))


def _role(name: str) -> sql.Composable:
    return sql.SQL("public") if name == "public" else sql.Identifier(name)


def _run(owner: Connection, statement: LiteralString, *parts: sql.Composable) -> None:
    """Executes a statement whose parts are names, which may hold what stands for a value elsewhere."""
    owner.exec_driver_sql(sql.SQL(statement).format(*parts).as_string().replace("%", "%%"))


def _whose(answers: Answers) -> str:
    return f"docmill: answers of {answers.key}"


def _mark(answers: Answers, views: Sequence[View]) -> str:
    """Which definition a version's views have, as their comments tell it."""
    told = "\n".join(f"{view.name} {view.text}" for view in views)
    return f"{_whose(answers)} {hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:16]}"


def _only(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A value's one form; empty where several are left, whose fields a column for each field named would lose."""
    form = only_form(schema, root)
    return {} if choices_of(form, root) else form


def _typed(schema: Any, root: Mapping[str, Any], value: str) -> str:
    """The value as its type in SQL; jsonb where it has none of its own."""
    found = kinds(schema, root) - {"null"}
    text = f"{value} #>> '{{}}'"
    if found == {"string"}:
        form = _only(schema, root).get("format")
        reads = {"date": "docmill_date", "date-time": "docmill_moment"}.get(form if isinstance(form, str) else "")
        return f"{reads}({text})" if reads else text
    if found and found <= {"number", "integer"}:
        return f"docmill_number({value})"
    if found == {"boolean"}:
        return f"docmill_truth({value})"
    return text if found and found <= SCALARS else value


def _free(name: str, taken: Iterable[str], *, instead: str = "answer.") -> str:
    """The name, or one like it that nobody has and that Postgres takes as it is."""
    if name in taken and instead:
        name = f"{instead}{name}"
    name = name or instead
    if name not in taken and len(name.encode()) <= LONGEST_NAME:
        return name
    number = 0
    while True:
        digest = hashlib.sha256(f"{name}\0{number}".encode()).hexdigest()[:8]
        cut = f"{name.encode()[: LONGEST_NAME - 9].decode(errors='ignore')}~{digest}"
        if cut not in taken:
            return cut
        number += 1


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _identifier(name: str) -> str:
    return sql.Identifier(name).as_string(None)
