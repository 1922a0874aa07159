"""Documents that are submitted together: each once, however often it is given, and nothing lost on the way."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from openpyxl import load_workbook
from sqlalchemy import Engine, text

from cli import sources, submitting
from cli.waiting import exit_code
from tests.command import Command
from workers.stack.servers import EmbeddedServers

Submit = Callable[..., Any]


@pytest.fixture
def feature() -> str:
    return uuid4().hex


@pytest.fixture
def submit(docmill: Command, feature: str, servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch) -> Submit:
    for name in ("database", "broker", "cache"):
        monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", getattr(servers, f"{name}_url"))
    monkeypatch.setattr(sources, "FILES_A_COMMIT", 10)

    def run(*arguments: object) -> Any:
        return docmill("submit", *map(str, arguments), "--prompt", "receipt", "--feature", feature)

    return run


def folder_of(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / "In [red]box[x]"
    folder.mkdir(parents=True)
    for each in range(number):
        (folder / f"{each:03}.txt").write_text(f"{uuid4()}\nTOTAL {each}.00")
    return folder


def jobs_of(engine: Engine, feature: str) -> list[Any]:
    with engine.connect() as connection:
        found = text("select id, path, run_id from jobs where feature = :feature order by id")
        return list(connection.execute(found, {"feature": feature}))


def interrupted_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Ctrl-C comes while that document is read."""
    read, seen = sources.body_of, []

    def body_of(document: Any) -> Any:
        seen.append(document)
        if len(seen) == number:
            raise KeyboardInterrupt
        return read(document)

    monkeypatch.setattr(submitting, "body_of", body_of)


def test_what_was_interrupted_goes_on_where_it_was_and_nothing_is_submitted_twice(
    submit: Submit, docmill: Command, engine: Engine, feature: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, 34)
    with pytest.MonkeyPatch.context() as ctrl_c:
        interrupted_at(ctrl_c, 25)
        broken = submit(folder)
    assert broken.returncode == 130
    assert "20 of 34 documents are submitted, and go on" in broken.stderr
    (run,) = {job.run_id for job in jobs_of(engine, feature)}
    assert f"docmill runs wait {run}" in broken.stderr
    assert "the same command again submits the rest, and none twice" in broken.stderr

    again = submit(folder)
    assert again.returncode == 0, again.stderr
    assert "20 of 34 were submitted before" in again.stderr
    made = jobs_of(engine, feature)
    assert sorted(job.path for job in made) == sorted(str(path) for path in folder.iterdir())
    assert {job.run_id for job in made} == {run}
    assert [int(line.split("\t")[0]) for line in again.stdout.splitlines()] == [job.id for job in made]

    third = submit(folder)
    assert "34 of 34 were submitted before, and not again: `--again`" in third.stderr
    assert f"are run {run}" in third.stderr
    assert len(jobs_of(engine, feature)) == 34
    shown = json.loads(docmill("runs", "show", str(run), "--json").stdout)
    assert (shown["total"], shown["expected"], shown["closed_at"] is not None) == (34, 34, True)

    anew = submit(folder, "--again")
    assert "before" not in anew.stderr
    assert len(jobs_of(engine, feature)) == 68
    assert len({job.run_id for job in jobs_of(engine, feature)}) == 2


def test_files_that_come_later_are_a_run_of_their_own(
    submit: Submit, engine: Engine, feature: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, 3)
    submit(folder)
    (folder / "new.txt").write_text("TOTAL 9.99")
    (folder / "000.txt").write_text("TOTAL 7.77")
    assert "2 of 4 were submitted before" in submit(folder).stderr
    runs = [job.run_id for job in jobs_of(engine, feature)]
    assert runs == [runs[0]] * 3 + [runs[0] + 1] * 2 or len(set(runs)) == 2


def test_equal_bytes_under_two_names_are_two_jobs(
    submit: Submit, engine: Engine, feature: str, tmp_path: Path
) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("EQUAL TEA HOUSE\nTOTAL 1.00")
    submit(tmp_path / "a.txt", tmp_path / "b.txt", tmp_path / "a.txt")
    assert [Path(job.path).name for job in jobs_of(engine, feature)] == ["a.txt", "b.txt"]


def test_another_prompt_content_or_parameter_is_other_work() -> None:
    wanted = submitting.Wanted(
        prompt="p", version="v1", content_hash=b"1", feature="f", user="u", params={"a": "b"}
    )
    others = (
        replace(wanted, content_hash=b"2"),
        replace(wanted, version="v2"),
        replace(wanted, feature="g"),
        replace(wanted, user=""),
        replace(wanted, params={}),
    )
    keys = {each.key("x") for each in (wanted, *others)} | {wanted.key("y"), wanted.key("x", "")}
    assert len(keys) == 8
    assert replace(wanted, lane="interactive").key("x") in keys


def test_documents_come_on_standard_input_and_in_lists(
    submit: Submit, engine: Engine, feature: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(written: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(written), isatty=lambda: False))

    says(b"STANDARD TEA HOUSE\nTOTAL 5.00")
    assert submit("-", "--name", "inbox/five.txt").returncode == 0
    folder = folder_of(tmp_path, 3)
    (tmp_path / "list").write_text(f"{folder / '000.txt'}\r\n\n{folder / '001.txt'}\n")
    assert submit("--files-from", tmp_path / "list").returncode == 0
    says(f"{folder / '002.txt'}\0".encode())
    assert submit("--files-from", "-").returncode == 0
    assert [Path(job.path).name for job in jobs_of(engine, feature)] == [
        "five.txt",
        "000.txt",
        "001.txt",
        "002.txt",
    ]
    for arguments, told in (
        ((), "nothing to submit"),
        (("--files-from", tmp_path / "none"), "cannot be read"),
        ((tmp_path / "empty",), "nothing to submit"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        found = submit(*arguments)
        assert (found.returncode, told in found.stderr) == (1, True), found.stderr


def test_a_run_is_waited_for_and_its_exit_code_says_how_it_went(
    submit: Submit, docmill: Command, engine: Engine, feature: str, tmp_path: Path
) -> None:
    submit(folder_of(tmp_path, 3))
    first, second, third = (job.id for job in jobs_of(engine, feature))
    run = jobs_of(engine, feature)[0].run_id

    def ends(job: int, state: str) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "update jobs set state = :state, wait = null, finished_at = now(), failure = case when :state ="
                    " 'failed' then jsonb_build_object('kind', 'poison', 'message', '[red]x[/x]') end where id = :id"
                ),
                {"id": job, "state": state},
            )

    for job in (first, second):
        ends(job, "done")
    ends(third, "needs_review")
    waited = docmill("runs", "wait", str(run), "--json")
    assert waited.returncode == 3
    assert {json.loads(line)["id"] for line in waited.stdout.splitlines()} == {first, second, third}
    ends(third, "failed")
    failed = docmill("runs", "wait", str(run))
    assert failed.returncode == 1
    assert "[red]x[/x]" in failed.stdout
    listed = [json.loads(line) for line in docmill("runs", "--json").stdout.splitlines()]
    found = next(each for each in listed if each["id"] == run)
    assert (found["states"], found["reasons"]) == ({"done": 2, "failed": 1}, {"poison": 1})
    assert docmill("runs", "show", "999999999").stderr.startswith("docmill: there is no run 999999999")


@pytest.mark.parametrize(
    ("states", "refused", "code"),
    [
        ((), False, 0),
        (("done",), False, 0),
        (("done", "needs_review"), False, 3),
        (("failed", "needs_review"), False, 1),
        (("cancelled",), False, 1),
        (("needs_review",), True, 1),
    ],
)
def test_an_exit_code_says_the_worst(states: tuple[str, ...], refused: bool, code: int) -> None:
    reports: list[Any] = [SimpleNamespace(state=state) for state in states]
    assert exit_code(reports, refused=refused) == code


def test_a_run_is_exported_and_read_back_as_its_results(
    submit: Submit, docmill: Command, engine: Engine, feature: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, 4)
    submit(folder)
    jobs = jobs_of(engine, feature)
    answers = {
        job.path: {"total": -number, "company": "=1+1", "lines": [{"name": "@SUM"}] * number}
        for number, job in enumerate(jobs)
    }
    with engine.begin() as connection:
        for job in jobs:
            connection.execute(
                text(
                    "insert into results (job_id, revision, value, author) values (:id, 1, cast(:value as jsonb), 'm')"
                ),
                {"id": job.id, "value": json.dumps(answers[job.path])},
            )
    run = str(jobs[0].run_id)
    for ending in ("jsonl", "csv", "xlsx"):
        told = docmill("export", "--run", run, "-o", str(tmp_path / f"out.{ending}"))
        assert told.returncode == 0, told.stderr
        assert "4 jobs are in" in told.stdout
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["path"]: line["value"] for line in lines} == answers
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["path"]: (row["company"], row["total"]) for row in rows} == {
        path: ("'=1+1", str(answer["total"])) for path, answer in answers.items()
    }
    book = load_workbook(tmp_path / "out.xlsx")
    names, *found = book["jobs"].iter_rows(values_only=True)
    table = [dict(zip(names, row, strict=True)) for row in found]
    assert {row["path"]: (row["company"], row["total"]) for row in table} == {
        path: ("=1+1", answer["total"]) for path, answer in answers.items()
    }
    assert [row[1] for row in book["lines"].iter_rows(min_row=2, values_only=True)] == [
        job.path for number, job in enumerate(jobs) for _ in range(number)
    ]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")], "nothing is left beside it"
    for output, message in (
        ("a.parquet", "is a file of .jsonl, .csv, .xlsx"),
        ("no/such/a.csv", "there is no folder"),
    ):
        refused = docmill("export", "-o", str(tmp_path / output))
        assert (refused.returncode, message in refused.stderr) == (1, True), refused.stderr
    assert docmill("export", "--run", run, "-o", str(tmp_path / "f.csv"), "--state", "faild").returncode == 1
