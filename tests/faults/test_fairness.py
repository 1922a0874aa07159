"""A tenant that submits nothing but documents over which readers take for ever, and another that waits behind it."""

from __future__ import annotations

import io
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pytest

from db.submit import Submission, submit
from tests.attacks import pdf_of
from tests.documents import SAMPLES
from tests.faults.report import quantile
from tests.stack import RunningStack, data, receipts, start

__all__ = ["data", "start"]

MOST_DELAY_S = 5.0
UNPACKED = 70_000_000
"""Bytes, of some thousands: below what is refused for its size, and above what is read within the time limit."""


def endless_sheet() -> bytes:
    """A sheet of three million rows: it takes the half minute that a document may take."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(SAMPLES["a.xlsx"])) as given,
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as put,
    ):
        for name in given.namelist():
            content = given.read(name)
            if name.endswith("sheet1.xml"):
                row = b"<row><c><v>1</v></c></row>"
                content = content.replace(b"<sheetData>", b"<sheetData>" + row * (UNPACKED // len(row)))
            put.writestr(name, content)
    return made.getvalue()


def endless_pdf() -> bytes:
    """A page of four million words: it takes as much memory as a document may."""
    content = zlib.compress(b"BT /F1 12 Tf 50 700 Td " + b"9 9 Td (word) Tj " * (UNPACKED // 17), 9)
    return pdf_of(content, b"").replace(b"<</Length ", b"<</Filter /FlateDecode /Length ")


def worst(number: int) -> Iterator[tuple[str, bytes]]:
    """So many documents, each another one, two thirds of them sheets."""
    sheet, pdf = endless_sheet(), endless_pdf()
    for each in range(number):
        if each % 3 == 2:
            yield "a.pdf", pdf + b"%% %d" % each
        else:
            file = io.BytesIO(sheet)
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr("number.txt", str(each))
            yield "a.xlsx", file.getvalue()


def submit_worst(stack: RunningStack, number: int) -> None:
    """Half of them as urgent as anybody's can be."""
    with stack.engine.begin() as connection:
        for each, (name, body) in enumerate(worst(number)):
            lane = "interactive" if each % 2 else "bulk"
            submit(connection, Submission(prompt="receipt", body=body, name=name, tenant="greedy", lane=lane))  # type: ignore[arg-type]


def seconds_of_one(stack: RunningStack, number: int) -> float:
    """From the submit of a short document, as a file that has to be read, to its answer."""
    body = receipts(number + 1)[number].encode()
    started = time.monotonic()
    with stack.engine.begin() as connection:
        job = submit(
            connection, Submission(prompt="receipt", body=body, name="a.txt", tenant="other", lane="interactive")
        )
    stack.until(lambda: bool(stack.query("select 1 from jobs where id = :id and wait is null", id=job)), 120)
    (row,) = stack.query("select state from jobs where id = :id", id=job)
    assert row.state == "done", stack.failures()
    return time.monotonic() - started


def delays(stack: RunningStack, number: int, *, documents: int) -> list[float]:
    """What another's jobs take longer than they took before the greedy one came, in order."""
    usual = quantile(sorted(seconds_of_one(stack, each) for each in range(10)), 0.5) or 0.0
    submit_worst(stack, documents)
    return sorted(max(0.0, seconds_of_one(stack, 100 + each) - usual) for each in range(number))


def test_the_worst_documents_of_one_tenant_delay_no_other(start: Callable[..., RunningStack]) -> None:
    """The short form of the test below, on whatever else the machine does: half a minute each, if nothing gave way."""
    found = delays(start(), 10, documents=20)
    assert (quantile(found, 0.8) or 0.0) < 3 * MOST_DELAY_S, found


@pytest.mark.slow
def test_two_hundred_of_the_worst_documents_delay_another_tenant_by_five_seconds_at_most(
    start: Callable[..., RunningStack], record_property: Callable[[str, object], None]
) -> None:
    found = delays(start(), 80, documents=200)
    p95 = quantile(found, 0.95) or 0.0
    record_property("p50_s", quantile(found, 0.5))
    record_property("p95_s", p95)
    record_property("max_s", found[-1])
    assert p95 < MOST_DELAY_S, found
