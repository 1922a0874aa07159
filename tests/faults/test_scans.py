"""Faults on scans, which OCR reads and models are shown as pictures: a whole worker's death, Postgres', a leader's;
and a cap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from db import budget_admin
from db.budget_admin import Wanted
from docmill.reading.engines import installed
from prompts.registry import BUILT_IN
from tests.faults.conftest import a_lab
from tests.faults.lab import Lab, Trial
from tests.faults.report import keep
from tests.integration.test_simulated_eyes import receipt
from tests.stack import RunningStack

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.slow,
    pytest.mark.skipif(not installed(), reason="scans are read by RapidOCR: docmill[app]"),
]

SCANS = 40
"""A trial's. Each is read twice: by OCR, and by the simulator's eyes, which are slow."""
CALL_DEADLINE_S = "90"
CAP = Decimal(1)
DEAR = '[models.small]\nprovider = "simulator"\nmodel = "sim-large"\n'
SHEET = (1400, 2000)
"""Dots of a scan that costs a quarter of a cent to be seen."""
SHEETS, ASKED = 6, 75
"""Scans under a cap, and how often each is asked about, each time in other words."""


def scans(number: int, *, of: str) -> list[bytes]:
    """Pictures of different receipts; ``of`` sets those of one trial apart."""
    return [
        receipt(
            (f"TEA HOUSE {of} {each}", "1 Sample Street", f"Date: {1 + each % 28:02}/03/2021", f"TOTAL {each}.10")
        )
        for each in range(10, 10 + number)
    ]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Of its own: what sees takes longer than other trials let a call take."""
    with a_lab(env={"DOCMILL_CALL_DEADLINE_S": CALL_DEADLINE_S}) as running:
        running.simulate("--latency-ms", "500")
        yield running


def submit(run: Trial, bodies: Sequence[bytes]) -> None:
    run.submit(bodies, name="scan.png")


def assert_pictures_were_shown(lab: Lab, run: Trial) -> None:
    """And by the words that OCR found, each value was held against them."""
    shown = lab.query(
        "select count(*) filter (where context ? 'pictures') as seen from jobs where id = any(:jobs)",
        jobs=run.jobs,
    )
    assert shown[0].seen == len(run.jobs)
    found = lab.query("select evidence from results where job_id = any(:jobs)", jobs=run.jobs)
    assert all(row.evidence["total"]["by"] == "ocr" and row.evidence["total"]["boxes"] for row in found)


def test_whole_workers_are_killed(lab: Lab, trial: Callable[[str, str], Trial]) -> None:
    run = trial("2s", f"as 2, with {SCANS} scans; ocr, too")
    submit(run, scans(SCANS, of="A"))
    run.until(lambda: run.count("jobs", "stage = 'ocr'") < SCANS, 120)
    lab.kill("ocr-1")
    for share, name in ((0.2, "io-1"), (0.4, "cpu-1"), (0.6, "io-2")):
        run.until_answered(share, 200)
        lab.kill(name)
    row = run.finish(within_s=300, paid_twice=True)
    assert_pictures_were_shown(lab, run)
    keep(row)


def test_the_database_is_killed(lab: Lab, trial: Callable[[str, str], Trial]) -> None:
    run = trial("11s", f"as 11, with {SCANS} scans")
    submit(run, scans(SCANS, of="B"))
    run.until_answered(0.3, 200)
    run.until(lambda: run.count("calls", "state = 'intent'") > 0, 60)
    lab.kill_server("postgres")
    lab.repair("postgres")
    lab.engine.dispose()
    run.repaired()
    keep(run.finish(within_s=300))


def test_a_scan_many_times_is_two_calls_at_most_where_the_leader_is_killed(
    lab: Lab, trial: Callable[[str, str], Trial]
) -> None:
    run = trial("18s", "as 18b, with one scan 300 times")
    submit(run, scans(1, of="C") * 300)
    leading = "select owner from jobs where id = any(:jobs) and stage = 'complete' and wait = 'running'"
    opened = "select from calls where job_id = any(:jobs) and state = 'intent'"
    run.until(lambda: bool(lab.query(opened, jobs=run.jobs)), 120)
    lab.kill(lab.query(leading, jobs=run.jobs)[0].owner.partition("@")[0].rpartition("-")[0])
    row = run.finish(within_s=300, paid_twice=True)
    assert (row.started, row.answered) in ((2, 1), (1, 1))
    keep(row)


@pytest.fixture
def asked_often(tmp_path: Path) -> Path:
    """The receipt's prompt with a word of its caller's in it: each word is other work."""
    built_in = BUILT_IN / "receipt" / "v3"
    version = tmp_path / "prompts" / "asked" / "v1"
    version.mkdir(parents=True)
    for file in ("output.py", "correction.j2", "system.j2"):
        (version / file).write_bytes((built_in / file).read_bytes())
    (version / "user.j2").write_text("For order {{ order }}.\n" + (built_in / "user.j2").read_text())
    settings = (built_in / "prompt.toml").read_text().replace('"auto"', '"pages"')
    (version / "prompt.toml").write_text(f'{settings}\n[params.order]\ndescription = "whose"\n')
    return tmp_path / "prompts"


def test_a_cap_is_never_passed_by_pictures(
    start: Callable[..., RunningStack],
    tmp_path: Path,
    asked_often: Path,
    record_property: Callable[[str, object], None],
) -> None:
    (tmp_path / "docmill.toml").write_text(DEAR)
    stack = start(
        io_workers=2,
        DOCMILL_CONFIG=str(tmp_path / "docmill.toml"),
        DOCMILL_PROMPTS=str(asked_often),
        DOCMILL_CALL_DEADLINE_S=CALL_DEADLINE_S,
    )
    with stack.engine.begin() as connection:
        wanted = Wanted(scope="all", subject="", span="day", policy="hold", cap_usd=CAP)
        budget_admin.put(connection, wanted, timezone="UTC")
    sheets = [
        receipt((f"TEA HOUSE D {each}", "Date: 09/03/2021", f"TOTAL {each}.10"), size=SHEET)
        for each in range(10, 10 + SHEETS)
    ]
    for order in range(ASKED):
        stack.submit(sheets, "asked", params={"order": f"{order}"}, name="scan.png")
    stack.until(lambda: is_at_rest(stack), 500)
    billed = sum((Decimal(line["cost_usd"]) for line in stack.bill().values()), Decimal(0))
    record_property("billed_usd", str(billed))
    assert CAP * Decimal("0.95") <= billed <= CAP
    assert set(stack.states()) == {"done", "held"}
    stack.assert_ledger_is_the_bill()


def is_at_rest(stack: RunningStack) -> bool:
    """Whether every job has ended, or waits for more money than is left."""
    return not stack.query(
        "select from jobs j left join budgets b on b.id = j.budget_id where wait is not null"
        " and (wait <> 'budget' or need_usd <= cap_usd - spent_usd - reserved_usd) limit 1"
    )
