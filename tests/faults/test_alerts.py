"""The example alerts on stacks that are held, stuck, over budget or failing: what each tells, as Prometheus sees it.

What /metrics told, second by second, is written as promtool's series in a time that runs faster, so that half an hour
passes in half a minute; promtool (of Debian's package prometheus) says which rules fired.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from db import budget_admin
from db.budget_admin import Wanted
from db.engine import make_engine
from tests.provider import Provider, Said, complaint, providing, reply
from tests.rules import SCRAPED_AS, names_in
from tests.stack import COMMAND, RunningStack, receipts

RULES = Path(__file__).parents[2] / "docs" / "alerts" / "docmill.rules.yml"
KEY = "scrape-me"
IN_SECONDS = ("docmill_oldest_open_seconds", "docmill_review_age_seconds")
"""Gauges that grow with the time, and so faster where it runs faster."""
WRONG = json.dumps(
    {"company": "NOBODY", "address": None, "date": "1999-01-01", "total": 99999.5, "currency": None}
)

KEPT_S, SEEN_AFTER_S = 6, 10
"""Figures are told as they were some seconds ago."""

Series = tuple[str, tuple[tuple[str, str], ...]]
UP: Series = ("up", tuple(sorted(SCRAPED_AS.items())))


def alerts() -> dict[str, str]:
    """Each rule's expression by its name."""
    lines = [line.strip() for line in RULES.read_text().splitlines()]
    named = [line.removeprefix("- alert: ") for line in lines if line.startswith("- alert: ")]
    return dict(
        zip(named, [line.removeprefix("expr: ") for line in lines if line.startswith("expr: ")], strict=True)
    )


@pytest.fixture(scope="module")
def promtool() -> str:
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: it is in Debian's package prometheus; PROMTOOL may name it")
    return found


@dataclass(kw_only=True)
class Timeline:
    """What was told, second by second; ``fast`` of its seconds pass in each."""

    fast: int
    began: float = field(default_factory=time.monotonic)
    told: dict[int, dict[Series, float]] = field(default_factory=dict)

    @property
    def now_s(self) -> float:
        """Seconds of its own time."""
        return (time.monotonic() - self.began) * self.fast

    def note(self, at: float, written: str | None) -> None:
        """What was told at that time; None where nobody answered."""
        wanted = {name for expression in alerts().values() for name in names_in(expression)}
        self.told[round(at - self.began)] = {UP: float(written is not None)} | {
            (sample.name, tuple(sorted({**sample.labels, **SCRAPED_AS}.items()))): sample.value
            * (self.fast if sample.name in IN_SECONDS else 1)
            for family in text_string_to_metric_families(written or "")
            for sample in family.samples
            if sample.name in wanted
        }

    def as_series(self) -> list[dict[str, str]]:
        last = max(self.told)
        found = []
        for series in sorted({each for told in self.told.values() for each in told}):
            values = [self.told.get(at, {}).get(series) for at in range(last + 1)]
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in series[1])
            written = " ".join("_" if value is None else f"{value!r}" for value in values)
            found.append({"series": f"{series[0]}{{{labels}}}", "values": written})
        return found


def differs(
    promtool: str, path: Path, timeline: Timeline, must: tuple[str, ...], may: tuple[str, ...] = ()
) -> str | None:
    """What promtool has against it that each of the alerts that must have fired has, and no other; None for nothing."""
    fired = 'group(last_over_time(ALERTS{{alertname="{}",alertstate="firing"}}[1000h]))'
    end = f"{max(timeline.told) * timeline.fast}s"
    tests = [
        {
            "expr": fired.format(name),
            "eval_time": end,
            "exp_samples": [{"labels": "{}", "value": 1}] if name in must else [],
        }
        for name in alerts()
        if name not in may
    ]
    every = f"{timeline.fast}s"
    written = {
        "rule_files": [str(RULES)],
        "evaluation_interval": every,
        "tests": [{"interval": every, "input_series": timeline.as_series(), "promql_expr_test": tests}],
    }
    path.write_text(json.dumps(written))
    ran = subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return None if ran.returncode == 0 else f"{ran.stdout}{ran.stderr}"


@dataclass(kw_only=True)
class Watched:
    """A stack whose /metrics is asked every second, before a provider that a test spoils."""

    stack: RunningStack
    provider: Provider
    promtool: str
    folder: Path
    said: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        self.api: str = json.loads((self.stack.data / "ready.json").read_text())["api"]

    def submit(self, number: int = 1, prompt: str = "receipt", **options: Any) -> None:
        """So many documents that nobody has seen."""
        self.number += number
        self.stack.submit(receipts(self.number)[-number:], prompt, **options)

    def spoil(
        self, *, says: Callable[[str], Said | None] = lambda _: None, changes: Any = lambda said: said
    ) -> None:
        self.provider.says, self.provider.changes = says, changes

    @contextmanager
    def scraped(self, fast: int, patience_s: float = 30.0) -> Iterator[Timeline]:
        """All that is told until the end; an answer is waited for so long."""
        time.sleep(KEPT_S)
        timeline, stop = Timeline(fast=fast), threading.Event()

        def scrape() -> None:
            headers = {"authorization": f"Bearer {KEY}"}
            while not stop.wait(max(0.0, 1 - (time.monotonic() - timeline.began) % 1)):
                at = time.monotonic()
                try:
                    found = httpx.get(f"{self.api}/metrics", headers=headers, timeout=patience_s)
                    timeline.note(at, found.text if found.is_success else None)
                except httpx.TransportError:
                    timeline.note(at, None)

        thread = threading.Thread(target=scrape)
        thread.start()
        try:
            yield timeline
        finally:
            stop.set()
            thread.join()

    def holds(self, timeline: Timeline, *must: str, may: tuple[str, ...] = ()) -> None:
        """Each of the alerts that must have fired has, and no other than these that may, too."""
        path = self.folder / f"{len(list(self.folder.iterdir()))}.json"
        wrong = differs(self.promtool, path, timeline, must, may)
        assert wrong is None, f"{must}\n{wrong}\n{self.stack.states()} {self.stack.failures()}"

    def act(self, path: str, **options: Any) -> None:
        found = httpx.post(f"{self.api}{path}", headers={"origin": self.api}, timeout=30, **options)
        assert found.status_code in (200, 201, 303), found.text

    def cancel_what_is_open(self) -> None:
        for row in self.stack.query("select id from jobs where wait is not null"):
            httpx.post(f"{self.api}/v1/jobs/{row.id}/cancel", timeout=30)
        self.stack.until_all_end(60)

    def until_well(self) -> None:
        """Until all workers are seen again, and no job is open."""
        seen = "select 1 from workers where seen_at > now() - interval '12 s' group by queue"
        self.stack.until(lambda: len(self.stack.query(seen)) >= 3, 60)
        self.stack.until_all_end(180)

    def over(self, seconds: float, each_s: float, work: Callable[[], object]) -> None:
        """Does the work again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            work()
            time.sleep(each_s)


@pytest.fixture
def watched(start: Callable[..., RunningStack], promtool: str, tmp_path: Path) -> Iterator[Watched]:
    with providing(Provider()) as provider:
        stack = start(
            "--latency-ms", "50", DOCMILL_LLM_URL=provider.url, DOCMILL_METRICS_KEY=KEY, DOCMILL_CALL_DEADLINE_S="5",
            DOCMILL_WEBHOOK_HOSTS="127.0.0.1",
        )  # fmt: skip
        provider.simulator = stack.simulator_url
        yield Watched(stack=stack, provider=provider, promtool=promtool, folder=tmp_path)


def over_time(*told: str) -> Timeline:
    """What was told, each for an hour, a minute at a time."""
    timeline = Timeline(fast=60)
    for minute in range(60 * len(told)):
        timeline.note(timeline.began + minute, told[minute // 60])
    return timeline


AT_WORK = """
docmill_jobs_ended_total{state="failed",prompt="",cause=""} 0
docmill_jobs_ended_total{state="done",prompt="receipt",cause=""} 500
docmill_calls_total{model="small",state="answered",failure=""} 500
"""
BURST = """
docmill_jobs_ended_total{state="failed",prompt="nda",cause="refused"} 3
docmill_jobs_ended_total{state="failed",prompt="receipt",cause="poison"} 1
docmill_calls_total{model="large",state="failed",failure="refused"} 3
"""


def test_what_fails_at_once_under_labels_never_seen_is_told_as_well(promtool: str, tmp_path: Path) -> None:
    at_work, burst = AT_WORK, AT_WORK + BURST
    failing = ("DocmillPromptFailing", "DocmillModelFailing", "DocmillFailing")
    for number, (timeline, must) in enumerate(
        [
            (over_time(at_work, burst), failing),
            (over_time(at_work, at_work), ()),
            # of what failed before anybody scraped, nobody knows when
            (over_time(burst, burst), ()),
        ]
    ):
        assert differs(promtool, tmp_path / f"{number}.json", timeline, must) is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_alert_holds_under_load_and_one_does_where_a_model_is_held(watched: Watched) -> None:
    works(watched)
    held_by_an_operator(watched)
    out_of_quota(watched)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_alerts_hold_on_a_stack_that_is_over_budget(watched: Watched) -> None:
    over_budget(watched)
    stopped_by_a_cap_of_0(watched)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_alerts_hold_on_a_stack_that_fails_and_none_once_it_is_mended(watched: Watched) -> None:
    unreadable_documents(watched)
    provider_away(watched)
    answers_without_a_price(watched)
    works(watched)


def works(watched: Watched) -> None:
    with watched.scraped(fast=20) as timeline:
        watched.over(30, 0.3, watched.submit)
        watched.stack.until_all_end(60)
    watched.holds(timeline)


def held_by_an_operator(watched: Watched) -> None:
    with watched.scraped(fast=20) as timeline:
        watched.act("/models/small/hold")
        watched.submit(3)
        watched.stack.until(lambda: watched.stack.states().get("held") == 3, 30)
        time.sleep(12)
        watched.act("/models/small/release")
        watched.stack.until_all_end(60)
    watched.holds(timeline, "DocmillModelHeld")


def out_of_quota(watched: Watched) -> None:
    watched.spoil(
        says=lambda _: complaint(
            "You exceeded your current quota.", 429, type="insufficient_quota", code="insufficient_quota"
        )
    )
    with watched.scraped(fast=20) as timeline:
        watched.submit(3)
        watched.stack.until(lambda: watched.stack.states().get("held") == 3, 30)
        time.sleep(12)
    watched.holds(timeline, "DocmillModelHeld", may=("DocmillModelFailing",))
    watched.spoil()
    for model in ("small", "large"):
        watched.act(f"/models/{model}/release")
    watched.stack.until_all_end(60)


def over_budget(watched: Watched) -> None:
    def put(cap: Decimal) -> int:
        with watched.stack.engine.begin() as connection:
            wanted = Wanted(scope="feature", subject="till", span="total", policy="hold", cap_usd=cap)
            return budget_admin.put(connection, wanted, timezone="UTC").id

    budget = put(Decimal(1))
    watched.submit(3, feature="till")
    watched.stack.until_all_end(60)
    (spent,) = watched.stack.query("select spent_usd as usd from budgets where subject = 'till'")
    with watched.scraped(fast=20) as nearly:
        put(spent.usd / Decimal("0.95"))
        time.sleep(SEEN_AFTER_S)
    watched.holds(nearly, "DocmillBudgetNearlySpent")
    with watched.scraped(fast=20) as held:
        watched.submit(2, feature="till")
        watched.stack.until(lambda: watched.stack.states().get("held") == 2, 30)
        time.sleep(SEEN_AFTER_S)
    watched.holds(held, "DocmillBudgetNearlySpent", "DocmillJobsHeldForBudgets")
    put(Decimal(1))
    watched.stack.until_all_end(60)
    with watched.stack.engine.begin() as connection:
        budget_admin.remove(connection, budget)


def stopped_by_a_cap_of_0(watched: Watched) -> None:
    """Whoever stopped a feature by that knows that nothing of it is left to be spent."""
    with watched.stack.engine.begin() as connection:
        wanted = Wanted(scope="feature", subject="archive", span="total", policy="hold", cap_usd=Decimal(0))
        budget = budget_admin.put(connection, wanted, timezone="UTC").id
    with watched.scraped(fast=20) as timeline:
        time.sleep(SEEN_AFTER_S)
    watched.holds(timeline)
    with watched.stack.engine.begin() as connection:
        budget_admin.remove(connection, budget)


def unreadable_documents(watched: Watched) -> None:
    with watched.scraped(fast=60) as timeline:
        watched.over(75, 1, lambda: watched.stack.submit([b""], "receipt"))
    watched.holds(timeline, "DocmillFailing", "DocmillPromptFailing")


def provider_away(watched: Watched) -> None:
    watched.spoil(says=lambda _: complaint("The server had an error", 503, type="server_error"))
    with watched.scraped(fast=20) as timeline:
        watched.over(75, 2, watched.submit)
    watched.spoil()
    watched.cancel_what_is_open()
    watched.holds(
        timeline, "DocmillModelFailing", may=("DocmillModelHeld", "DocmillFailing", "DocmillPromptFailing")
    )


def answers_without_a_price(watched: Watched) -> None:
    def uncounted(said: Any) -> Any:
        return {name: value for name, value in said.items() if name != "usage"}

    watched.spoil(changes=uncounted)
    with watched.scraped(fast=60) as timeline:
        watched.over(75, 1, watched.submit)
        watched.stack.until_all_end(60)
    watched.spoil()
    watched.holds(timeline, "DocmillCostUnknown")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_alerts_hold_on_stacks_that_are_stuck_or_that_somebody_has_to_look_at(watched: Watched) -> None:
    watched.submit(5)
    watched.stack.until_all_end(60)
    workers_halted(watched)
    broker_silent(watched)
    api_halted(watched)
    upkeep_broken(watched)
    answer_that_waits(watched)
    webhook_given_up(watched)
    worker_killed_in_a_call(watched)


@contextmanager
def halted(watched: Watched, *names: str) -> Iterator[None]:
    pids = [pid for name, pid in watched.stack.pids.items() if name.startswith(names)]
    assert pids, watched.stack.pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def workers_halted(watched: Watched) -> None:
    with watched.scraped(fast=60) as timeline, halted(watched, "io", "cpu", "quarantine", "ocr"):
        watched.submit(3)
        time.sleep(50)
    watched.until_well()
    watched.holds(timeline, "DocmillNoWorkers", "DocmillStuck")


def broker_silent(watched: Watched) -> None:
    with watched.scraped(fast=60) as timeline, halted(watched, "broker"):
        watched.submit(3)
        time.sleep(50)
    watched.until_well()
    watched.holds(timeline, "DocmillStuck", may=("DocmillUpkeepBreaks", "DocmillNoWorkers"))


def api_halted(watched: Watched) -> None:
    with watched.scraped(fast=60, patience_s=1) as timeline, halted(watched, "api"):
        time.sleep(20)
    watched.holds(timeline, "DocmillNotScraped")


def upkeep_broken(watched: Watched) -> None:
    """A part of it meets a table that is no more."""
    owner = make_engine(json.loads((watched.stack.data / "ready.json").read_text())["database_owner_url"])
    with watched.scraped(fast=60) as timeline:
        with owner.begin() as connection:
            connection.execute(text("alter table webhooks rename to webhooks_away"))
        time.sleep(35)
        with owner.begin() as connection:
            connection.execute(text("alter table webhooks_away rename to webhooks"))
    owner.dispose()
    watched.holds(timeline, "DocmillUpkeepBreaks")


def answer_that_waits(watched: Watched) -> None:
    watched.spoil(says=lambda _: reply(WRONG))
    watched.submit()
    watched.stack.until(lambda: watched.stack.states().get("needs_review") == 1, 60)
    watched.spoil()
    with watched.scraped(fast=1) as timeline:
        with watched.stack.engine.begin() as connection:  # a day goes by
            connection.execute(
                text("update jobs set finished_at = finished_at - interval '25 h' where state = 'needs_review'")
            )
        time.sleep(SEEN_AFTER_S)
    watched.holds(timeline, "DocmillReviewsOld")
    (job,) = watched.stack.query("select id from jobs where state = 'needs_review'")
    found = httpx.post(f"{watched.api}/v1/reviews/{job.id}", json={"decision": "reject"}, timeout=30)
    assert found.status_code == 200, found.text


def webhook_given_up(watched: Watched) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DOCMILL_")}
    added = ("webhooks", "add", "http://127.0.0.1:9/", "--events", "job.ended", "--data", str(watched.stack.data))
    subprocess.run(
        [*COMMAND, *added],
        env={**env, "DOCMILL_WEBHOOK_HOSTS": "127.0.0.1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    watched.submit()
    tried = "select 1 from webhook_deliveries where tries > 0 and failure is not null"
    watched.stack.until(lambda: bool(watched.stack.query(tried)), 60)
    with watched.scraped(fast=1) as timeline:
        with watched.stack.engine.begin() as connection:  # a day goes by
            connection.execute(text("update webhook_deliveries set give_up_at = now(), due_at = now()"))
        given_up = "select 1 from webhook_deliveries where state = 'failed'"
        watched.stack.until(lambda: bool(watched.stack.query(given_up)), 60)
        time.sleep(SEEN_AFTER_S)
    watched.holds(timeline, "DocmillWebhooksGivenUp")
    with watched.stack.engine.begin() as connection:
        connection.execute(text("delete from webhook_deliveries"))


def worker_killed_in_a_call(watched: Watched) -> None:
    def hang(_: str) -> None:
        time.sleep(20)

    watched.spoil(says=hang)
    with watched.scraped(fast=60) as timeline:
        watched.submit()
        watched.stack.until(lambda: bool(watched.stack.query("select 1 from calls where state = 'intent'")), 60)
        watched.stack.kill("io-1")
        watched.spoil()
        doubted = "select 1 from calls where state = 'in_doubt' and possibly_billed"
        watched.stack.until(lambda: bool(watched.stack.query(doubted)), 120)
        time.sleep(15)
    watched.stack.until_all_end(120)
    watched.holds(timeline, "DocmillCallsInDoubt", may=("DocmillNoWorkers", "DocmillStuck"))
