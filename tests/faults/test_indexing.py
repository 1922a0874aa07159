"""Workers die while documents are indexed: each chunk is there once, and each embedding is paid once."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import pytest

from db import collections
from db.chunks import digest
from db.submit import Indexing, submit_index
from docmill.llm.tokens import counter_for
from tasks.stages.chunk import passages_of
from tests.faults.report import Row, keep
from tests.stack import RunningStack

SHARED = 20
"""Different second halves of letters: each is in many of them."""
COUNTER = counter_for("sim-embed")


def letter(number: int) -> str:
    """Two chunks: one of its own, and one that it has in common with others."""
    own = f"Letter {number}. " + f"The ship {number} reached harbour {number * 7 % 311} in fair weather. " * 20
    shared = f"Standing orders {number % SHARED}. " + f"Berth {number % SHARED} is kept clear for the ferry. " * 24
    return f"{own}\n\n{shared}"


def index(stack: RunningStack, letters: Sequence[str]) -> None:
    with stack.engine.begin() as connection:
        collections.ensure(connection, "default", "letters", "sim-embed")
        for body in letters:
            indexing = Indexing(collection="letters", body=body.encode(), name="a.txt")
            stack.jobs.append(submit_index(connection, indexing))


def ended(stack: RunningStack) -> int:
    return int(stack.query("select count(*) as n from jobs where wait is null")[0].n)


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What the vectors cost, by the ledger and by the provider's own bill."""

    started: int
    answered: int
    possibly_billed: int
    of_these_billed: int


def check_chunks(stack: RunningStack, letters: Sequence[str]) -> None:
    """Every chunk of every letter is there once, with its vector, and nothing else is."""
    wanted = sorted(
        (digest(each.text, "default"), place) for body in letters for place, each in enumerate(passages_of(body))
    )
    rows = stack.query("select document_id, position, sha256 from chunks")
    assert sorted((bytes(row.sha256), row.position) for row in rows) == wanted
    assert len({(row.document_id, row.position) for row in rows}) == len(wanted)
    assert len({row.document_id for row in rows}) == len(letters)
    without = stack.query(
        "select count(*) as n from chunks full join vectors on vectors.chunk_id = chunks.id"
        " where vectors.chunk_id is null or chunks.id is null"
    )
    assert without[0].n == 0
    texts = {sha256 for sha256, _ in wanted}
    embedded = stack.query("select sha256 from embeddings where v is not null")
    assert sorted(bytes(row.sha256) for row in embedded) == sorted(texts)


def check_paid(stack: RunningStack, letters: Sequence[str]) -> Paid:
    """The calls that were answered have each text once, to the token; all else that was billed is in doubt."""
    stack.assert_ledger_is_the_bill()
    texts = {each.text for body in letters for each in passages_of(body)}
    calls = stack.query("select id, state, input_tokens, possibly_billed from calls where purpose = 'embed'")
    answered = [call for call in calls if call.state == "answered"]
    assert sum(call.input_tokens for call in answered) == sum(COUNTER.count(text) for text in texts)
    assert {call.state for call in calls} <= {"answered", "failed", "in_doubt"}, "none is paid for twice"
    doubtful = {str(call.id) for call in calls if call.possibly_billed}
    bill = stack.bill()
    assert set(bill) == {str(call.id) for call in answered} | (set(bill) & doubtful)
    return Paid(
        started=len(calls),
        answered=len(answered),
        possibly_billed=len(doubtful),
        of_these_billed=len(set(bill) & doubtful),
    )


@pytest.mark.timeout(600)
def test_workers_are_killed_while_documents_are_indexed(start: Callable[..., RunningStack]) -> None:
    letters = [letter(number) for number in range(150)]
    stack = start("--latency-ms", "200", DOCMILL_CALL_DEADLINE_S="10")
    index(stack, letters)
    for least, worker in ((30, "io-1"), (50, "cpu-1"), (75, "io-1")):
        stack.until(partial(_moved_on, stack, least, len(letters)), 90)
        stack.kill(worker)
    stack.until_all_end(300)
    assert stack.states() == {"done": len(letters)}
    check_chunks(stack, letters)
    check_paid(stack, letters)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_workers_are_killed_while_ten_thousand_documents_are_indexed(
    start: Callable[..., RunningStack], record_property: Callable[[str, object], None]
) -> None:
    began = time.monotonic()
    letters = [letter(number) for number in range(10_000)]
    stack = start("--latency-ms", "200", DOCMILL_CALL_DEADLINE_S="10", io_workers=2)
    index(stack, letters)
    kills = 0
    for worker in itertools.cycle(("io-1", "cpu-1", "io-2")):
        seen = ended(stack)
        stack.until(partial(_moved_on, stack, seen + len(letters) // 20, len(letters)), 600)
        if ended(stack) == len(letters):
            break
        stack.kill(worker)
        kills += 1
    assert kills >= 10
    assert stack.states() == {"done": len(letters)}
    check_chunks(stack, letters)
    paid = check_paid(stack, letters)
    drives = stack.query("select count(*) as n from drives where due_at is not null")[0].n
    for name, figure in (("kills", kills), *vars(paid).items(), ("redriven", drives)):
        record_property(name, figure)
    keep(_row(paid, kills, len(letters), int(drives), time.monotonic() - began))


def _moved_on(stack: RunningStack, least: int, all_of_them: int) -> bool:
    return ended(stack) >= min(least, all_of_them)


def _row(paid: Paid, kills: int, documents: int, redriven: int, took_s: float) -> Row:
    return Row(
        fault="22",
        what=f"kill -9 of whole workers, {kills} times, while {documents:,} documents are indexed",
        jobs=documents,
        results=documents,
        duplicates=0,
        started=paid.started,
        answered=paid.answered,
        surplus=0,
        possibly_billed=paid.possibly_billed,
        of_these_billed=paid.of_these_billed,
        redriven=redriven,
        late_p50_s=None,
        late_p95_s=None,
        late_max_s=None,
        consuming_after_s=None,
        took_s=took_s,
    )
