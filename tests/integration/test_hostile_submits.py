"""Submits that nobody means: refused with a reason and a remedy, whichever way they come, and never a job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db import reports
from db.submit import Indexing, Submission, submit, submit_fresh, submit_index, submit_many
from docmill.client import submit_in
from docmill.errors import SubmitRefused

NAMES = (
    *("prompt", "document", "name", "version", "tenant", "feature", "usr", "lane"),
    *("deadline_at", "idem_key", "params"),
)
TYPES = {"deadline_at": "timestamptz", "params": "jsonb"}
DEEP = "[" * 20 + "1" + "]" * 20


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("argument", "value", "rule"),
    [
        ("prompt", None, "prompt"),
        ("prompt", "", "prompt"),
        ("prompt", "x" * 201, "prompt"),
        ("prompt", "receipt\n", "prompt"),
        ("document", None, "document"),
        ("document", "", "document"),
        ("document", "x" * (50 * 2**20 + 1), "document"),
        ("name", "x" * 10_000, "name"),
        ("name", "a\x1bb", "name"),
        ("version", "x" * 201, "version"),
        ("tenant", None, "tenant"),
        ("tenant", "x" * 201, "tenant"),
        ("feature", None, "feature"),
        ("feature", "\x7f", "feature"),
        ("usr", None, "usr"),
        ("usr", "x" * 1_000_000, "usr"),
        ("lane", None, "lane"),
        ("lane", "", "lane"),
        ("lane", "batch", "lane"),
        ("lane", "BULK", "lane"),
        ("deadline_at", "infinity", "deadline"),
        ("deadline_at", "-infinity", "deadline"),
        ("deadline_at", "9999-12-31", "deadline"),
        ("deadline_at", "0001-01-01", "deadline"),
        ("deadline_at", "4713-01-01 BC", "deadline"),
        ("idem_key", "", "idem_key"),
        ("idem_key", "x" * 201, "idem_key"),
        ("idem_key", "a\tb", "idem_key"),
        ("params", "[]", "params"),
        ("params", "null", "params"),
        ("params", '"x"', "params"),
        ("params", "1", "params"),
        ("params", f'{{"a": {DEEP}}}', "params"),
        ("params", f'{{"a": {"[" * 3000}{"]" * 3000}}}', "params"),
        ("params", '{"a":' * 1000 + "1" + "}" * 1000, "params"),
        ("params", f'{{"a": {"9" * 6000}}}', "params"),
        ("params", '{"a": [{"b": -1e400}]}', "params"),
        ("params", f'{{"a": "{"y" * 100_000}"}}', "params"),
    ],
)  # fmt: skip
def test_the_sql_function_refuses_what_no_worker_can_take(
    engine: Engine, argument: str, value: Any, rule: str
) -> None:
    mark = uuid4().hex
    given = {"prompt": "receipt", "document": "TOTAL 1", "feature": mark, argument: value}
    with engine.connect() as connection:
        with pytest.raises(DBAPIError) as caught:
            connection.execute(called(given), given)
        connection.rollback()
        kept = connection.execute(text("select count(*) from jobs where feature = :mark"), {"mark": mark})
        assert kept.scalar_one() == 0
    diagnosis = caught.value.orig.diag  # type: ignore[union-attr] # psycopg's
    assert diagnosis.sqlstate == "22023"
    assert diagnosis.message_primary.startswith(f"docmill_submit: {rule}: ")
    assert diagnosis.message_hint
    assert len(diagnosis.message_primary) < 200


def called(given: dict[str, Any]) -> Any:
    arguments = ", ".join(f"{name} => cast(:{name} as {TYPES.get(name, 'text')})" for name in given)
    return text(f"select docmill_submit({arguments})")


def test_what_is_just_within_the_bounds_is_taken(engine: Engine) -> None:
    given = {
        **dict.fromkeys(("name", "tenant", "feature", "usr", "idem_key"), "é" * 200),
        "prompt": "receipt",
        "document": "TOTAL 1",
        "version": "v1",
        "lane": "interactive",
        "deadline_at": datetime.now(UTC) + timedelta(days=3600),
        "params": f'{{"a": {"[" * 19}{"9" * 308}{"]" * 19}, "b": {{}}, "c": "{"y" * 90_000}"}}',
    }
    with engine.connect() as connection:
        assert connection.execute(called(given), given).scalar_one()
        connection.rollback()
        passed = {"prompt": "receipt", "document": "x", "deadline_at": datetime.now(UTC) - timedelta(minutes=5)}
        assert connection.execute(called(passed), passed).scalar_one(), "it was accepted once, and may come again"
        assert connection.execute(text("select docmill_submit('receipt', 'x', params => null)")).scalar_one()
        connection.rollback()


HOSTILE: tuple[dict[str, Any], ...] = (
    {"lane": "batch"},
    {"lane": None},
    {"prompt": ""},
    {"prompt": "a\0b"},
    {"version": "\ud800"},
    {"tenant": "x" * 201},
    {"feature": "a\nb"},
    {"deadline_at": datetime(9999, 12, 31, tzinfo=UTC)},
    {"deadline_at": datetime(1, 1, 1, tzinfo=UTC)},
    {"idem_key": ""},
    {"idem_key": "k" * 201},
    {"params": []},
    {"params": None},
    {"params": {"a": nested(20)}},
    {"params": {"a": nested(100_000)}},
    {"params": {"a": 10**309}},
    {"params": {"a": float("nan")}},
    {"params": {"a": float("-inf")}},
    {"params": {"a": "\0"}},
    {"params": {"a\0": 1}},
    {"params": {"a": "\udfff"}},
    {"params": {1: 1}},
    {"params": {"a": object()}},
    {"params": {"a": b"x"}},
    {"params": {"a": "y" * 100_000}},
    {"body": b"x" * (50 * 2**20 + 1)},
)  # fmt: skip


@pytest.mark.parametrize("wrong", HOSTILE, ids=lambda wrong: next(iter(wrong)))
def test_a_submission_is_refused_before_the_database_is_asked(engine: Engine, wrong: dict[str, Any]) -> None:
    mark = uuid4().hex
    submission = Submission(**{"prompt": "receipt", "body": b"TOTAL 1", "feature": mark, **wrong})
    field = {"body": "document", "idem_key": "idempotency_key", "deadline_at": "deadline"}.get(
        *[next(iter(wrong))] * 2
    )
    with engine.begin() as connection:
        with pytest.raises(SubmitRefused, match=f"^{field}: "):
            submit(connection, submission)
        assert submit(connection, Submission(prompt="receipt", body=b"TOTAL 1")), "the transaction goes on"
    with pytest.raises(SubmitRefused, match=f"^{field}: "), engine.begin() as connection:
        submit_many(connection, [submission])


def test_a_document_for_a_collection_is_bounded_alike(engine: Engine) -> None:
    with engine.begin() as connection:
        for wrong in ({"lane": "batch"}, {"meta": {"a": nested(30)}}, {"feature": "a\0"}):
            indexing = Indexing(**{"collection": "c", "body": b"x", **wrong})  # type: ignore[arg-type] # free keywords
            with pytest.raises(SubmitRefused):
                submit_index(connection, indexing)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"lane": "batch"}, "lane"),
        ({"prompt": "a\nb"}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"tenant": None}, "tenant"),
        ({"feature": "x" * 201}, "feature"),
        ({"user": "\ud800"}, "user"),
        ({"document": "\ud800"}, "document"),
        ({"deadline": -1}, "deadline"),
        ({"deadline": 1e300}, "deadline"),
        ({"deadline": float("nan")}, "deadline"),
        ({"deadline": timedelta.max}, "deadline"),
        ({"deadline": datetime(9999, 12, 31, tzinfo=UTC)}, "deadline"),
        ({"params": []}, "params"),
        ({"params": {"a": nested(5000)}}, "params"),
        ({"params": {"a": 10**400}}, "params"),
        ({"params": {"a": float("inf")}}, "params"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 201}, "idempotency_key"),
    ],
)
def test_submitting_in_a_transaction_refuses_before_it_breaks_it(
    engine: Engine, wrong: dict[str, Any], rule: str
) -> None:
    with engine.begin() as connection:
        with pytest.raises(SubmitRefused, match=f"^{rule}: "):
            submit_in(connection, **{"document": "TOTAL 1", "prompt": "receipt", **wrong})
        connection.execute(text("select 1"))


def test_what_the_function_alone_refuses_is_a_submit_refused_with_its_hint(engine: Engine) -> None:
    """As an application sees it that calls the function by itself, and one whose library is older than the schema."""
    with engine.connect() as connection:
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="interactive or bulk"):
            driver.execute("select docmill_submit('receipt', 'x', lane => 'batch')")


def test_no_row_is_of_a_lane_that_never_runs(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(DBAPIError, match="jobs_lane_check"):
        connection.execute(text("insert into jobs (tenant, feature, lane) values ('t', 'f', 'batch')"))


@pytest.mark.parametrize("way", ["one", "many", "index"])
def test_equal_bytes_under_two_names_keep_both(engine: Engine, way: str) -> None:
    body = uuid4().bytes
    paths = [
        "inbox/2026/tea.txt",
        "copies/tea (1).txt",
        "C:\\scans\\tea.pdf",
        "a\x1b[31m\udc80.txt",
        "x/" * 3000 + "y",
        "tea\u202f9.txt",
    ]
    with engine.begin() as connection:
        if way == "index":
            made = [submit_index(connection, Indexing(collection="c", body=body, name=path)) for path in paths]
        else:
            wanted = [Submission(prompt="receipt", body=body, name=path) for path in paths]
            made = (
                [submit(connection, each) for each in wanted] if way == "one" else submit_many(connection, wanted)
            )
        found = [reports.job_report(connection, job) for job in made]
    assert [job.name for job in found] == [
        "tea.txt",
        "tea (1).txt",
        "tea.pdf",
        "a\ufffd[31m\ufffd.txt",
        "y",
        "tea\u202f9.txt",
    ]
    assert [job.path for job in found[:3]] == paths[:3]
    assert found[5].path == paths[5]
    assert paths[4].endswith(str(found[4].path))
    assert len({job.document_id for job in found}) == 1


def test_a_new_job_of_an_old_one_has_its_name_and_a_job_without_one_its_documents(engine: Engine) -> None:
    with engine.begin() as connection:
        job = submit(connection, Submission(prompt="receipt", body=uuid4().bytes, name="inbox/tea.txt"))
        again = reports.job_report(connection, submit_fresh(connection, job).id)
        assert (again.name, again.path) == ("tea.txt", "inbox/tea.txt")
        connection.execute(text("update jobs set name = null, path = null where id = :id"), {"id": job})
        before = reports.job_report(connection, job)
        assert (before.name, before.path) == ("tea.txt", "tea.txt")
