"""Workers die while documents are indexed: each chunk is there once, and each embedding is paid once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from db import collections
from db.submit import Indexing, submit_index
from tests.stack import RunningStack

pytestmark = pytest.mark.timeout(600)

DOCUMENTS = 150


def letter(number: int) -> str:
    """Two chunks: one of its own, and one that it has in common with others."""
    own = f"Letter {number}. " + f"The ship {number} reached harbour {number * 7 % 311} in fair weather. " * 20
    shared = f"Standing orders {number % 20}. " + f"Berth {number % 20} is kept clear for the ferry. " * 24
    return f"{own}\n\n{shared}"


def index(stack: RunningStack, count: int) -> None:
    with stack.engine.begin() as connection:
        collections.made(connection, "default", "letters", "sim-embed")
        for number in range(count):
            body = letter(number).encode()
            stack.jobs.append(submit_index(connection, Indexing(collection="letters", body=body, name="a.txt")))


def enough(stack: RunningStack, least: int) -> bool:
    return bool(stack.query("select count(*) as n from chunks")[0].n >= least)


def test_workers_are_killed_while_documents_are_indexed(start: Callable[..., RunningStack]) -> None:
    stack = start("--latency-ms", "200", DOCMILL_CALL_DEADLINE_S="10")
    index(stack, DOCUMENTS)

    for share, worker in ((5, "io-1"), (3, "cpu-1"), (2, "io-1")):
        stack.until(partial(enough, stack, DOCUMENTS // share), 90)
        stack.kill(worker)
    stack.until_all_end(300)

    assert stack.states() == {"done": DOCUMENTS}
    rows = stack.query("select document_id, position, sha256 from chunks")
    assert sorted({row.position for row in rows}) == [0, 1]
    assert len({(row.document_id, row.position) for row in rows}) == len(rows) == 2 * DOCUMENTS
    texts = {bytes(row.sha256) for row in rows}
    assert len(texts) == DOCUMENTS + 20
    assert stack.query("select count(*) as n from vectors")[0].n == 2 * DOCUMENTS
    assert stack.query("select count(*) as n from embeddings where v is not null")[0].n == len(texts)
    stack.assert_ledger_is_the_bill()
    # What was billed beyond one for each text is what was lost with a worker, and is counted.
    billed = sum(line["input_tokens"] for line in stack.bill().values())
    once = stack.query("select sum(input_tokens) as n from calls where state = 'answered'")[0].n
    doubtful = stack.query("select count(*) as n from calls where possibly_billed")[0].n
    assert billed == once or doubtful > 0
