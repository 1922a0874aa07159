"""Thousands of files as one run: every face tells the same of it while it goes, and its answers are the same everywhere."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import load_workbook
from playwright.sync_api import Browser, Page, expect

from tests.command import Command, docmill
from tests.provider import Provider, Said, complaint, providing, reply
from tests.stack import COMMAND, RunningStack

__all__ = ["docmill"]

STATES = ("queued", "running", "held", "done", "needs_review", "failed", "cancelled")
ENDS = STATES[3:]
FAILING = ("needs_review", "failed")


# --- documents, and a provider that takes some of them ill ---


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A kind of document that comes to no accepted answer."""

    mark: str
    """Stands in the document; empty for one that no model sees."""
    state: str
    kind: str
    """Of the failure."""
    answer: Said | None = None
    """What the provider says to whoever asks about it."""


INVENTED = {
    "invoice_number": "9-9", "issue_date": "1999-01-01", "seller_name": "Nobody Anywhere", "currency": "EUR", "lines": [],
    "grand_total": 9.99,
}  # fmt: skip


TROUBLES = (
    Trouble(mark="", state="failed", kind="unreadable"),
    Trouble(
        mark="Batch QX-1", state="failed", kind="bad_request", answer=complaint("the request is not taken in this region")
    ),
    Trouble(mark="Batch QX-2", state="failed", kind="malformed", answer=reply("There is no invoice in it.")),
    Trouble(
        mark="Batch QX-3", state="needs_review", kind="content_filtered",
        answer=complaint("The response was filtered.", code="content_filter"),
    ),
    Trouble(mark="Batch QX-4", state="needs_review", kind="wrong", answer=reply(json.dumps(INVENTED))),
)  # fmt: skip
GOODS = ("Green tea", "Black tea", "=Honey", 'Oat "biscuits"', "Paper, bags", "Lemon – 1 kg", "Café crème")


def invoice(at: int, mark: str = "") -> str:
    """Each another; some without a tax or a day to pay by."""
    lines = [
        (GOODS[(at + each) % len(GOODS)], 1 + each, Decimal(100 + 37 * at + 11 * each).scaleb(-2))
        for each in range(at % 4 + 1)
    ]
    rows = "\n".join(f"{name}    {quantity}    {amount}" for name, quantity, amount in lines)
    net = sum((amount for _, _, amount in lines), Decimal(0))
    tax = (net * Decimal("0.19")).quantize(Decimal("0.01"))
    due = f"Due date: 2021-05-{1 + at % 28:02}\n" if at % 3 else ""
    return (
        f"Example Works {at} Ltd\n\nInvoice No: 2021-{at:05}\nInvoice date: 2021-03-{1 + at % 28:02}\n{due}"
        f"Bill to: Sample Library {at}\n{mark}\n\nItem    Quantity    EUR\n{rows}\n\n"
        f"Net total    {net}\nVAT 19 %    {tax}\nGrand total    {net + tax} EUR\n"
    )


UNREADABLE = (
    ("empty-{}.txt", b""),
    ("junk-{}.bin", bytes(range(256)) * 8),
    ("broken-{}.pdf", b"%PDF-1.7\n" + b"1 0 obj\n" * 100),
)  # fmt: skip


def write_files(folder: Path, files: int, each: int) -> None:
    """So many files; of every kind of trouble ``each``, spread among the good ones."""
    written = 0
    for trouble in TROUBLES:
        for at in range(each):
            written += 1
            name, body = UNREADABLE[at % len(UNREADABLE)]
            if trouble.mark:
                (folder / f"{at:03} {trouble.kind} [{at}].txt").write_text(
                    invoice(100_000 + written, trouble.mark)
                )
            else:
                (folder / f"{at:03} {name.format(at)}").write_bytes(body and body + str(at).encode())
    for at in range(files - written):
        (folder / f"{at * each // files:03} good {at:04}.txt").write_text(invoice(at))


def complaints(*, mended: set[str]) -> Callable[[str], Said | None]:
    """What the provider says of documents that it takes ill, but for what is mended."""

    def says(body: str) -> Said | None:
        found = (each.answer for each in TROUBLES if each.answer and each.mark in body and each.kind not in mended)
        return next(found, None)

    return says


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing(Provider(says=complaints(mended=set()))) as running:
        yield running


# --- what the faces tell ---


@dataclass(frozen=True, kw_only=True)
class Told:
    """How far the run is, as one face tells it."""

    face: str
    total: int
    ended: int
    states: Mapping[str, int]
    reasons: Mapping[str, int]
    cost_usd: Decimal | None

    def adds_up(self) -> None:
        """Within itself: each job is in one state, and what failed, waits or is doubted has one cause each."""
        assert set(self.states) <= set(STATES), self
        assert sum(self.states.values()) == self.total, self
        assert sum(self.states.get(state, 0) for state in ENDS) == self.ended, self
        held = self.states.get("held", 0)
        assert sum(self.reasons.values()) == sum(self.states.get(state, 0) for state in FAILING) + held, self

    def follows(self, before: Told) -> None:
        """Nothing that ended is open again, nothing that was paid is given back."""
        assert (self.total, self.ended) >= (before.total, before.ended), (before, self)
        assert self.ended >= before.ended, (before, self)
        for state in ENDS:
            assert self.states.get(state, 0) >= before.states.get(state, 0), (before, self)
        for trouble in TROUBLES:
            assert self.reasons.get(trouble.kind, 0) >= before.reasons.get(trouble.kind, 0), (before, self)
        assert self.cost_usd is not None, self
        assert before.cost_usd is not None, before
        assert self.cost_usd >= before.cost_usd, (before, self)


def told_as_json(face: str, plain: Mapping[str, Any]) -> Told:
    cost = plain["cost_usd"]
    assert plain["open"] == plain["total"] - plain["ended"], plain
    return Told(
        face=face, total=plain["total"], ended=plain["ended"], states=plain["states"], reasons=plain["reasons"],
        cost_usd=None if cost is None else Decimal(cost),
    )  # fmt: skip


NUMBER = r"([\d,]+)"


def whole(written: str) -> int:
    return int(written.replace(",", ""))


def told_by_page(html: str) -> Told:
    """As it stands on the page, read with no help of its code."""
    heading = re.search(rf'id="progress-title">{NUMBER} of {NUMBER} documents? ended', html)
    assert heading, html
    states = re.findall(rf'class="state (\w+)" href="/jobs\?run=[^"]+">[^<]*<b>{NUMBER}</b>', html)
    reasons = re.findall(
        rf'<th scope="row"><a href="/jobs\?run=\d+&amp;(?:cause|state)=(\w+)">([^<]+)</a></th><td class="number">{NUMBER}</td>',
        html,
    )
    cost = re.search(r'<p><data value="([^"]+)"[^>]*>[^<]*</data> so far', html)
    return Told(
        face="page", ended=whole(heading[1]), total=whole(heading[2]), states={name: whole(n) for name, n in states},
        reasons={(name if cause == "held" else cause): whole(n) for cause, name, n in reasons}, cost_usd=None if cost is None else Decimal(cost[1]),
    )  # fmt: skip


@dataclass(kw_only=True)
class Faces:
    """All that tell how far a run is; each of them is asked in turn, and must tell no less than the one before."""

    stack: RunningStack
    docmill: Command
    run: int
    told: list[Told] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.address: str = json.loads((self.stack.data / "ready.json").read_text())["api"]

    def look(self) -> Told:
        for ask in (self.api, self.page, self.command):
            found = ask()
            found.adds_up()
            if self.told:
                found.follows(self.told[-1])
            self.told.append(found)
        return self.told[-1]

    def api(self) -> Told:
        return told_as_json("api", self.get(f"/v1/runs/{self.run}").json())

    def page(self) -> Told:
        return told_by_page(self.get(f"/runs/{self.run}").text)

    def command(self) -> Told:
        shown = self.docmill("runs", "show", str(self.run), "--data", str(self.stack.data), "--json")
        assert shown.returncode == 0, shown.stderr
        return told_as_json("command", json.loads(shown.stdout))

    def get(self, path: str) -> httpx.Response:
        found = httpx.get(f"{self.address}{path}", timeout=60)
        assert found.status_code == 200, found.text
        return found

    def sql(self) -> Told:
        """What Postgres has."""
        rows = self.stack.query(
            "select state, failure ->> 'kind' as kind, count(*) as n from jobs where run_id = :run group by 1, 2",
            run=self.run,
        )
        states, reasons = Counter[str](), Counter[str]()
        for row in rows:
            states[row.state] += row.n
            reasons[row.kind or ""] += row.n
        del reasons[""]
        (spent,) = self.stack.query(
            "select sum(cost_usd) as usd from calls where job_id in (select id from jobs where run_id = :run)",
            run=self.run,
        )
        return Told(
            face="sql", total=states.total(), ended=sum(states[state] for state in ENDS), states=dict(states),
            reasons=dict(reasons), cost_usd=spent.usd,
        )  # fmt: skip

    def tell_the_same_as_sql(self) -> None:
        wanted = self.sql()
        for ask in (self.api, self.page, self.command):
            found = ask()
            assert (found.total, found.ended, found.cost_usd) == (wanted.total, wanted.ended, wanted.cost_usd), (
                found
            )
            assert (dict(found.states), dict(found.reasons)) == (wanted.states, wanted.reasons), found


# --- answers, however they are read ---


def answers_over_http(faces: Faces, path: str) -> dict[int, dict[str, Any]]:
    lines = faces.get(path).text.splitlines()
    found = {line["id"]: line for line in (json.loads(each, parse_float=Decimal) for each in lines)}
    assert len(found) == len(lines), "each job once"
    return found


def as_column(value: Any, type_of_column: str) -> Any:
    """What JSON says, as SQL has it."""
    if value is None:
        return None
    match type_of_column:
        case "numeric":
            assert isinstance(value, int | Decimal), value
            return Decimal(value)
        case "date":
            return date.fromisoformat(value)
        case "text":
            assert isinstance(value, str), value
    return value


VIEWS = {
    "docmill_results_invoice_v3": {
        "invoice_number": "text", "issue_date": "date", "due_date": "date", "seller_name": "text", "buyer_name": "text",
        "currency": "text", "net_total": "numeric", "tax_total": "numeric", "grand_total": "numeric",
    },
    "docmill_results_invoice_v3_lines": {"name": "text", "quantity": "numeric", "line_total": "numeric"},
}  # fmt: skip
OF_JOBS = ("run_id", "feature", "name", "path", "state")


def the_views_are_the_results(stack: RunningStack, run: int, jobs: Mapping[int, Mapping[str, Any]]) -> int:
    """Row by row and value by value, types included; how many values those were."""
    main, lists = VIEWS
    answered = {job: line for job, line in jobs.items() if line["value"] is not None}
    rows = {row.job_id: row._mapping for row in stack.query(f"select * from {main} where run_id = :run", run=run)}
    for job, line in answered.items():
        row = rows[job]
        assert {name: row[name] for name in OF_JOBS} == {name: line[name] for name in OF_JOBS}
        assert (row["usr"], row["tenant"]) == (line["user"], "default")
        assert row["finished_at"] == datetime.fromisoformat(line["finished_at"])
        assert json.loads(json.dumps(row["answer"]), parse_float=Decimal) == line["value"]
    of_run = f"select * from {lists} where job_id in (select id from jobs where run_id = :run)"
    items = {(row.job_id, row.at): row._mapping for row in stack.query(of_run, run=run)}
    said = {
        (job, f"lines.{at}"): item
        for job, line in answered.items()
        for at, item in enumerate(line["value"]["lines"])
    }
    whole_answers = compare(stack, main, rows, {job: line["value"] for job, line in answered.items()})
    return whole_answers + compare(stack, lists, items, said)


def compare(stack: RunningStack, view: str, found: Mapping[Any, Any], said: Mapping[Any, Any]) -> int:
    """A view's rows, by what tells them apart, with the values that they show; how many those are."""
    assert set(found) == set(said), "no row is missing, and none too many"
    columns = "select column_name, data_type from information_schema.columns where table_name = :view"
    types = {row.column_name: row.data_type for row in stack.query(columns, view=view)}
    assert {name: types[name] for name in VIEWS[view]} == VIEWS[view]
    for key, value in said.items():
        assert set(value) - {"lines"} <= set(VIEWS[view]), "no value without a column"
        for column, kind in VIEWS[view].items():
            there, mine = found[key][column], as_column(value.get(column), kind)
            assert (there, type(there)) == (mine, type(mine)), (view, key, column)
    return len(said) * len(VIEWS[view])


def exported(faces: Faces, folder: Path, ending: str) -> Path:
    path = folder / f"out{ending}"
    told = faces.docmill("export", "--run", str(faces.run), "-o", str(path), "--data", str(faces.stack.data))
    assert told.returncode == 0, told.stderr
    return path


def the_files_are_the_results(faces: Faces, folder: Path, jobs: Mapping[int, Mapping[str, Any]]) -> None:
    folder.mkdir()
    lines = [
        json.loads(line, parse_float=Decimal)
        for line in exported(faces, folder, ".jsonl").read_text().splitlines()
    ]
    assert {line["id"]: line["value"] for line in lines} == {job: line["value"] for job, line in jobs.items()}
    rows = read_csv(exported(faces, folder, ".csv").read_text())
    items = read_csv((folder / "out.lines.csv").read_text())
    book = load_workbook(exported(faces, folder, ".xlsx"))
    sheets = {name: read_sheet(book[name]) for name in ("jobs", "lines")}
    over_http = read_csv(faces.get(f"/v1/runs/{faces.run}/results.csv").text)
    for table in (rows, over_http, sheets["jobs"]):
        assert {int(row["id"]) for row in table} == set(jobs)
        for row in table:
            value = jobs[int(row["id"])]["value"] or {}
            for column in VIEWS["docmill_results_invoice_v3"]:
                assert same(row[column], value.get(column)), (row, column)
    for table in (items, sheets["lines"]):
        assert len(table) == sum(len((line["value"] or {"lines": []})["lines"]) for line in jobs.values())
        for row in table:
            item = jobs[int(row["id"])]["value"]["lines"][int(row["at"].removeprefix("lines."))]
            for column in VIEWS["docmill_results_invoice_v3_lines"]:
                assert same(row[column], item.get(column)), (row, column)


def read_csv(written: str) -> list[dict[str, Any]]:
    return list(csv.DictReader(io.StringIO(written, newline="")))


def read_sheet(sheet: Any) -> list[dict[str, Any]]:
    names, *rows = sheet.iter_rows(values_only=True)
    return [dict(zip(names, row, strict=True)) for row in rows]


def same(cell: Any, value: Any) -> bool:
    """A cell as a sheet has it: empty for null, a quote before what would be a formula, in CSV."""
    if value is None or value == "":
        return cell in (None, "")
    if isinstance(value, int | Decimal):
        return Decimal(str(cell)) == value
    return cell in (value, f"'{value}")


# --- the run ---


def submitting(stack: RunningStack, folder: Path) -> subprocess.Popen[str]:
    options = ("--prompt", "invoice", "--version", "v3", "--feature", "books", "--user", "u1", "--name", "March")
    return subprocess.Popen(
        [*COMMAND, "submit", str(folder), *options, "--data", str(stack.data)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run_of(stack: RunningStack) -> int:
    stack.until(lambda: bool(stack.query("select 1 from jobs limit 1")), 60)
    return int(stack.query("select max(id) as id from runs")[0].id)


def watched(page: Page, faces: Faces) -> Callable[[], None]:
    """The page in a browser, which moves by itself; what it shows is looked at now and then, and never goes back."""
    page.goto(f"{faces.address}/runs/{faces.run}")
    shown: list[Told] = []

    def look() -> None:
        found = told_by_page(page.content())
        found.adds_up()
        if shown:
            found.follows(shown[-1])
        shown.append(found)

    look()
    return look


def positions(stack: RunningStack) -> dict[int, Any]:
    """All that a retry moves."""
    rows = stack.query(
        "select j.id, j.epoch, j.attempt, j.state, j.stage, j.redrives, j.finished_at, j.history::text as history,"
        " (select count(*) from drives d where d.job_id = j.id) as drives,"
        " (select count(*) from calls c where c.job_id = j.id) as calls,"
        " (select count(*) from results r where r.job_id = j.id) as results from jobs j"
    )
    return {row.id: tuple(row)[1:] for row in rows}


def follow(faces: Faces, command: subprocess.Popen[str], page: Page, files: int) -> None:
    """Looks at every face until the last of the run has ended, and what they tell of its end."""
    look = watched(page, faces)
    while faces.look().ended < files:
        look()
        faces.stack.until(lambda: faces.api() != faces.told[-3], 60)
    told = command.communicate(timeout=60)
    assert command.returncode == 0, told
    assert f"{files:,} documents are run {faces.run}" in told[1]
    whole_run = f"{files:,} of {files:,} documents ended"
    expect(page.locator("#progress-title")).to_contain_text(whole_run, timeout=30_000)
    look()
    on_the_way = [told for told in faces.told if 0 < told.ended < files and told.reasons and told.cost_usd]
    assert {told.face for told in on_the_way} == {"api", "page", "command"}, "it was followed while it went"
    faces.tell_the_same_as_sql()


def retry_of_one_cause(faces: Faces, cause: str) -> set[int]:
    """The jobs that moved, once all have ended again."""
    before = positions(faces.stack)
    told = faces.docmill(
        "runs", "retry", str(faces.run), "--cause", cause, "--yes", "--data", str(faces.stack.data), "--json"
    )
    assert told.returncode == 0, told.stderr
    faces.stack.until_all_end(120)
    return {job for job, position in positions(faces.stack).items() if position != before.get(job)}


@pytest.mark.parametrize(("files", "each"), [(40, 2), pytest.param(3000, 40, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_a_run_is_told_of_alike_while_it_goes_and_its_answers_are_the_same_everywhere(
    *,
    start: Callable[..., RunningStack],
    provider: Provider,
    docmill: Command,
    browser: Browser,
    tmp_path: Path,
    files: int,
    each: int,
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "in").mkdir()
    write_files(tmp_path / "in", files, each)
    stack = start("--latency-ms", "20", DOCMILL_LLM_URL=provider.url)
    provider.simulator = stack.simulator_url
    began = time.monotonic()
    command = submitting(stack, tmp_path / "in")
    faces = Faces(stack=stack, docmill=docmill, run=run_of(stack))
    with browser.new_page() as page:
        follow(faces, command, page, files)
    record_property("seconds", round(time.monotonic() - began, 1))
    record_property("looks", len(faces.told))
    reasons = {trouble.kind: each for trouble in TROUBLES}
    states = Counter({state: each * sum(trouble.state == state for trouble in TROUBLES) for state in FAILING})
    assert faces.sql().reasons == reasons
    assert faces.sql().states == {**states, "done": files - states.total()}

    meant = {row.id for row in stack.query("select id from jobs where failure ->> 'kind' = 'bad_request'")}
    provider.says = complaints(mended={"bad_request"})
    assert retry_of_one_cause(faces, "bad_request") == meant
    assert faces.sql().reasons == {kind: number for kind, number in reasons.items() if kind != "bad_request"}
    faces.tell_the_same_as_sql()

    jobs = answers_over_http(faces, f"/v1/runs/{faces.run}/results.ndjson")
    assert len(jobs) == files
    record_property("values", the_views_are_the_results(stack, faces.run, jobs))
    the_files_are_the_results(faces, tmp_path / "out", jobs)
