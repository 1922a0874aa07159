"""Answers as SQL views: typed, as the results are, whatever fields are called and whatever an answer holds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from db.answer_views import Answers, refresh, views_of
from db.database import Database
from db.engine import make_engine
from db.submit import Submission, submit
from docmill.settings import load_settings
from docmill.sheets import rows_of
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.services import Services
from tasks.upkeep.troubles import Troubles
from tasks.upkeep.views import AnswerViews
from tests.integration.conftest import another_database
from workers.stack.servers import EmbeddedServers

HOSTILE = (
    'quote"d', "it's", "a\\b", "percent %s %(x)s %", "semi; drop table jobs --", "{braces}", ":colon", "", " ", "job_id",
    "answer", "tenant", "at", "a.b", "naïve ★", "x" * 80, "x" * 79 + "y", "select", "ctid", "\ud800", "NUL\x00",
)  # fmt: skip
WIDE = "receipt"


@pytest.fixture(scope="module")
def url(servers: EmbeddedServers) -> str:
    return another_database(servers, "answer_views")


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def owners(servers: EmbeddedServers, url: str) -> Iterator[Engine]:
    made = make_engine(servers.owner_url.replace("/docmill?", "/answer_views?"), pool_size=2)
    yield made
    made.dispose()


def kept(connection: Connection, prompt: str, version: str, *values: Any, tenant: str = "default") -> int:
    """A job with revisions of an answer."""
    job = submit(connection, Submission(prompt=prompt, body=uuid4().bytes, tenant=tenant, name="in/a.pdf"))
    connection.execute(
        text(
            "update jobs set state = 'done', wait = null, version = :version, finished_at = now() where id = :id"
        ),
        {"id": job, "version": version},
    )
    for revision, value in enumerate(values, 1):
        connection.execute(
            text(
                "insert into results (job_id, revision, value, author) values (:id, :revision, cast(:value as jsonb), 'm')"
            ),
            {"id": job, "revision": revision, "value": json.dumps(value)},
        )
    return job


def seen(connection: Connection, view: str, job: int) -> list[dict[str, Any]]:
    quoted = view.replace('"', '""')
    rows = connection.exec_driver_sql(f'select * from "{quoted}" where job_id = {job}'.replace("%", "%%"))
    return [dict(row) for row in rows.mappings()]


def made(owners: Engine, schema: dict[str, Any], prompt: str, version: str = "v1") -> list[str]:
    answers = Answers(prompt=prompt, version=version, schema=schema)
    with owners.begin() as owner:
        found = refresh(owner, [answers], readers=["docmill"])
    assert not found.refused, found.refused
    return [view.name for view in views_of(answers, ())]


def test_the_views_of_built_in_prompts_equal_the_results(owners: Engine, engine: Engine, url: str) -> None:
    upkeep = upkeep_of(owners, engine, url)
    upkeep.look_after()
    registry = upkeep.services.registry
    examples = {
        (name, version): registry.get(name, version).schema.get("examples")
        or registry.get(name, version).output_model.model_json_schema().get("examples")
        for name in registry.names()
        for version in registry.versions(name)
    }
    shown = 0
    for (name, version), values in examples.items():
        for value in values or []:
            with engine.begin() as connection:
                job = kept(connection, name, version, {"old": True}, value, tenant="acme")
                compare(connection, f"docmill_results_{name}_{version}", job, value)
                (row,) = seen(connection, f"docmill_results_{name}_{version}", job)
            assert (row["tenant"], row["state"], row["revision"], row["path"]) == ("acme", "done", 2, "in/a.pdf")
            assert row["answer"] == value
            shown += 1
    assert shown >= 5
    with engine.connect() as connection:
        types = connection.execute(
            text(
                "select column_name, data_type from information_schema.columns where table_name = 'docmill_results_invoice_v2'"
            )
        )
        columns: dict[str, str] = {row[0]: row[1] for row in types}
    assert {name: columns[name] for name in ("issue_date", "grand_total", "seller_name", "tenant")} == {
        "issue_date": "date", "grand_total": "numeric", "seller_name": "text", "tenant": "text",
    }  # fmt: skip


def compare(connection: Connection, view: str, job: int, value: Any) -> None:
    """With the rows that sheets have of the same answer, which are made another way."""
    for sheet, at, row in rows_of(value):
        name = f"{view}_{sheet.replace('.', '_')}" if sheet else view
        found = seen(connection, name, job)
        (mine,) = [each for each in found if not sheet or each["at"] == at]
        for column, cell in row.items():
            there = mine.get(f"answer.{column}", mine.get(column))
            if isinstance(cell, float):
                assert there == Decimal(str(cell)), (name, column)
            elif isinstance(there, date):
                assert there.isoformat() == cell
            else:
                assert there == cell, (name, column)


def upkeep_of(owners: Engine, engine: Engine, url: str, *folders: Path) -> AnswerViews:
    services = Services(
        settings=load_settings(database_url=url), database=Database(engine), owner_database=Database(owners),
        registry=Registry([BUILT_IN, *folders]), publish=lambda _: None, owner="test",
    )  # fmt: skip
    return AnswerViews(services=services, troubles=Troubles(), clock=lambda: next(TICKS))


TICKS = iter(range(0, 10**9, 3600))


def test_fields_may_be_called_as_they_like(owners: Engine, engine: Engine) -> None:
    """Each name as a field, as a member of an object, and in a list; and as the prompt's own."""
    fields = {name: {"type": "string"} for name in HOSTILE}
    nested = {"type": "object", "properties": fields}
    schema = {
        "type": "object",
        "properties": {
            **fields,
            "nested": nested,
            **{f"list {name}": {"type": "array", "items": nested} for name in HOSTILE},
        },
    }
    storable = [name for name in HOSTILE if name.isprintable() or name in ("", " ")]
    values = {name: f"value of {at}" for at, name in enumerate(storable)}
    answer = {**values, "nested": values, **{f"list {name}": [values, values] for name in storable}}
    for prompt in ("hostile", 'it\'s "100%" \\ {}', "p" * 90):
        names = made(owners, schema, prompt)
        assert len(names) == len(set(names)) == 1 + len(storable)
        with engine.begin() as connection:
            job = kept(connection, prompt, "v1", answer)
            (row,) = seen(connection, names[0], job)
            texts = [
                each for name, each in row.items() if name not in ("name", "path", "answer", "author", "feature")
            ]
            for value in values.values():
                assert texts.count(value) == 2, "in the answer, and in its object"
            for name in names[1:]:
                rows = seen(connection, name, job)
                assert [len({*values.values()} & {*map(str, each.values())}) for each in rows] == [len(values)] * 2
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from jobs")).scalar_one() > 0


TYPED: dict[str, Any] = {
    "type": "object",
    "$defs": {
        "Tax": {"type": "object", "properties": {"rate": {"type": "number"}, "self": {"$ref": "#/$defs/Tax"}}}
    },
    "properties": {
        "number": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "whole": {"type": "integer"},
        "truth": {"type": "boolean"},
        "day": {"type": "string", "format": "date"},
        "moment": {"type": "string", "format": "date-time"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "any": {},
        "pair": {"type": "array", "prefixItems": [{"type": "string"}]},
        "map": {"type": "object", "additionalProperties": {"type": "number"}},
        "tax": {"$ref": "#/$defs/Tax"},
        "words": {"type": "array", "items": {"type": "string"}},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"taxes": {"type": "array", "items": {"$ref": "#/$defs/Tax"}}},
            },
        },
        "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    },
}
BY_KIND = {
    "type": "object",
    "properties": {"kind": {"type": "string"}},
    "oneOf": [{"properties": {"total": {"type": "number"}}}, {"properties": {"weight": {"type": "number"}}}],
}


def test_what_has_a_choice_of_fields_is_one_column(owners: Engine, engine: Engine) -> None:
    """A column of the field that is always there would show it alone."""
    fields = {"doc": BY_KIND, "docs": {"type": "array", "items": BY_KIND}}
    whole, each = made(owners, {"type": "object", "properties": fields}, "choosing")
    doc = {"kind": "bill", "total": 4.1}
    with engine.begin() as connection:
        job = kept(connection, "choosing", "v1", {"doc": doc, "docs": [doc]})
        assert [row["doc"] for row in seen(connection, whole, job)] == [doc]
        assert [row["value"] for row in seen(connection, each, job)] == [doc]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=10)
    | st.sampled_from(["2024-02-30", "0000-01-01", "9999-12-31", "2024-02-29", "infinity", "2024-01-01T25:00:00Z", "1e400", "today"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rate", "self", "taxes", "x"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def typed(owners: Engine) -> list[str]:
    return made(owners, TYPED, "typed")


def test_each_type_is_a_column_of_its_own(typed: list[str], engine: Engine) -> None:
    answer: dict[str, Any] = {
        "number": 10.70, "whole": 10**25, "truth": True, "day": "2024-02-29", "moment": "2024-02-29T12:00:00+02:00",
        "either": 7, "any": {"x": 1}, "pair": ["a", 1], "map": {"a": 1}, "tax": {"rate": 0.07, "self": {"rate": 1}},
        "words": ["a", "b"], "rows": [{"taxes": [{"rate": 1}, {"rate": 2}]}, {"taxes": []}], "matrix": [[1], [2, 3]],
    }  # fmt: skip
    with engine.begin() as connection:
        job = kept(connection, "typed", "v1", answer)
        (row,) = seen(connection, "docmill_results_typed_v1", job)
        assert (row["number"], row["whole"], row["truth"]) == (Decimal("10.7"), Decimal(10**25), True)
        assert (row["day"], row["moment"]) == (date(2024, 2, 29), datetime(2024, 2, 29, 10, tzinfo=UTC))
        assert (row["either"], row["any"], row["pair"], row["map"]) == ("7", {"x": 1}, ["a", 1], {"a": 1})
        assert (row["tax.rate"], row["tax.self.rate"]) == (Decimal("0.07"), Decimal(1))
        lists = {
            name: [tuple(each.values())[1:] for each in seen(connection, f"docmill_results_typed_v1_{name}", job)]
            for name in ("words", "rows", "rows_taxes", "matrix", "matrix_value")
        }
    assert lists["words"] == [("default", "words.0", "a"), ("default", "words.1", "b")]
    assert [(row[1], row[2]) for row in lists["rows_taxes"]] == [("rows.0.taxes.0", 1), ("rows.0.taxes.1", 2)]
    assert [row[1] for row in lists["rows"]] == ["rows.0", "rows.1"]
    assert [(row[1], row[2]) for row in lists["matrix_value"]] == [
        ("matrix.0.0", 1),
        ("matrix.1.0", 2),
        ("matrix.1.1", 3),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=JSON | st.dictionaries(st.sampled_from(sorted(TYPED["properties"])), JSON, max_size=13))
def test_no_answer_keeps_a_view_from_being_read(typed: list[str], engine: Engine, answer: Any) -> None:
    with engine.connect() as connection:
        job = kept(connection, "typed", "v1", answer)
        for view in typed:
            rows = seen(connection, view, job)
        (row,) = seen(connection, typed[0], job)
        again = json.loads(json.dumps(answer), parse_float=Decimal, parse_int=Decimal)
        whole = json.loads(json.dumps(row["answer"], default=str), parse_float=Decimal, parse_int=Decimal)
        assert type(whole) is type(again)
        if isinstance(answer, dict) and isinstance(answer.get("words"), list):
            assert len(seen(connection, "docmill_results_typed_v1_words", job)) == len(answer["words"])
        del rows
        connection.rollback()


def test_a_view_follows_its_version_and_who_may_read_it_still_may(owners: Engine, engine: Engine) -> None:
    first = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "list": {"type": "array", "items": {"type": "string"}}},
    }
    second = {"type": "object", "properties": {"a": {"type": "number"}}}
    made(owners, first, "follows")
    with owners.begin() as owner:
        owner.execute(text("create role analyst"))
        owner.execute(text("grant select on docmill_results_follows_v1 to analyst, public"))
    assert refresh_of(owners, first) == ([], {})
    with owners.begin() as owner:
        owner.execute(text("create view mine as select a from docmill_results_follows_v1"))
    made_anew, refused = refresh_of(owners, second)
    assert not made_anew
    assert "depend" in refused["follows/v1"]
    with owners.begin() as owner:
        owner.execute(text("drop view mine"))
    assert refresh_of(owners, second) == (["follows/v1"], {})
    with owners.begin() as owner:
        lists = text("select to_regclass('docmill_results_follows_v1_list')")
        assert owner.execute(lists).scalar() is None
        may = text("select has_table_privilege('analyst', 'docmill_results_follows_v1', 'select')")
        assert owner.execute(may).scalar()
        owner.execute(text("drop owned by analyst"))
        owner.execute(text("drop role analyst"))
    with engine.begin() as connection:
        job = kept(connection, "follows", "v1", {"a": 1.5})
        assert seen(connection, "docmill_results_follows_v1", job)[0]["a"] == Decimal("1.5")


def refresh_of(owners: Engine, schema: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    with owners.begin() as owner:
        found = refresh(owner, [Answers(prompt="follows", version="v1", schema=schema)], readers=["docmill"])
    return list(found.made), dict(found.refused)


def test_what_is_another_ones_stays_and_is_told(owners: Engine) -> None:
    with owners.begin() as owner:
        owner.execute(text("create table docmill_results_occupied_v1 (x int)"))
        answers = [
            Answers(
                prompt=prompt, version="v1", schema={"type": "object", "properties": {"a": {"type": "string"}}}
            )
            for prompt in ("occupied", "free")
        ]
        found = refresh(owner, answers)
    assert (list(found.made), list(found.refused)) == (["free/v1"], ["occupied/v1"])


def test_a_released_version_is_one_that_is_no_draft(
    tmp_path: Path, owners: Engine, engine: Engine, url: str
) -> None:
    folder = tmp_path / "own" / "v1"
    folder.mkdir(parents=True)
    for file in (BUILT_IN / "receipt" / "v1").iterdir():
        if file.is_file():
            (folder / file.name).write_text(file.read_text())
    settings_of_it = (folder / "prompt.toml").read_text()
    (folder / "prompt.toml").write_text(f"draft = true\n{settings_of_it}")
    upkeep = upkeep_of(owners, engine, url, tmp_path)
    upkeep.look_after()
    there = text("select to_regclass('docmill_results_own_v1')")
    with engine.connect() as connection:
        assert connection.execute(there).scalar() is None
    (folder / "prompt.toml").write_text(settings_of_it)
    upkeep_of(owners, engine, url, tmp_path).look_after()
    with engine.connect() as connection:
        assert connection.execute(there).scalar() is not None
    odd = tmp_path / "odd" / "v1"
    shutil.copytree(folder, odd)
    imports = "from collections.abc import Callable\nfrom pydantic import BaseModel\n"
    (odd / "output.py").write_text(f"{imports}class Output(BaseModel):\n    rule: Callable[[int], int]\n")
    shutil.copytree(folder, tmp_path / "other" / "v1")
    upkeep_of(owners, engine, url, tmp_path).look_after()
    with engine.connect() as connection:
        for prompt, made in (("odd", False), ("other", True)):
            found = connection.execute(text(f"select to_regclass('docmill_results_{prompt}_v1')")).scalar()
            assert (found is not None) is made, prompt
    alone = upkeep_of(engine, engine, url, tmp_path)
    alone.look_after()
    assert "owns no tables" in str(alone.troubles.as_json())
