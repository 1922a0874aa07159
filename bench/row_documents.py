"""Made-up documents with long lists, and what is true of them: of many lengths, formats and layouts, by a seed."""

from __future__ import annotations

import csv
import html
import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from openpyxl import Workbook

__all__ = ["COLUMNS", "LAYOUTS", "Made", "Row", "make", "make_all", "statement"]

LENGTHS = (
    27,
    33,
    41,
    52,
    60,
    64,
    80,
    95,
    120,
    150,
    190,
    240,
    300,
    380,
    470,
    600,
    760,
    960,
    1210,
    1530,
    1900,
    2205,
)
LAYOUTS = ("repeated headers", "over page breaks", "equal rows", "sub-totals", "interleaved", "moving columns")
FORMATS = ("pdf", "csv", "xlsx", "html")
COLUMNS = ("number", "booked_on", "text", "amount")
PAGE_LINES = 46
SHOPS = ("Corner bakery", "Rail ticket office", "Paper works", "Green grocer", "Night pharmacy", "Book exchange")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row, by the list that it belongs to."""

    table: str
    number: str
    booked_on: date
    text: str
    amount: float

    @property
    def cells(self) -> dict[str, str]:
        """As they stand in the document."""
        return {
            "number": self.number,
            "booked_on": f"{self.booked_on:%d.%m.%Y}",
            "text": self.text,
            "amount": f"{self.amount:.2f}",
        }

    @property
    def value(self) -> dict[str, Any]:
        """As the answer has it."""
        return {
            "number": self.number,
            "booked_on": self.booked_on.isoformat(),
            "text": self.text,
            "amount": self.amount,
        }


@dataclass(frozen=True, kw_only=True)
class Made:
    """A document: its bytes, and its rows in order."""

    name: str
    layout: str
    media_type: str
    body: bytes
    rows: Sequence[Row]
    scalars: dict[str, str] = field(default_factory=dict)


def make_all(seed: int = 0, count: int = 45) -> Iterator[Made]:
    """The documents of a seed, the lengths, formats and layouts all in turn."""
    for at in range(count):
        length = LENGTHS[at % len(LENGTHS)] if at < 2 * len(LENGTHS) else LENGTHS[-1]
        yield make(length, LAYOUTS[at % len(LAYOUTS)], FORMATS[at % len(FORMATS)], seed=seed * 1000 + at)


def make(length: int, layout: str, form: str, *, seed: int) -> Made:
    """One document with so many rows."""
    draw = random.Random(seed)
    rows = list(_rows(draw, length, layout, seed))
    scalars = {"account": f"ACC-{seed:05}", "currency": "EUR"}
    pages = list(_pages(draw, rows, layout, scalars))
    media_type, written = WRITERS[form](pages)
    name = f"{seed:05}-{length}.{form}"
    return Made(name=name, layout=layout, media_type=media_type, body=written, rows=rows, scalars=scalars)


def _rows(draw: random.Random, length: int, layout: str, seed: int) -> Iterator[Row]:
    day, equal = date(2026, 1, 1), layout == "equal rows"
    for at in range(length):
        day += timedelta(days=draw.random() < 0.3)
        amount = draw.choice((1.5, 2.0, 3.5)) if equal else draw.randrange(100, 99_999) / 100
        # Several rows an hour are the same in every cell, as of a till.
        number = f"T{seed}-{at // 3:05}" if equal else f"B{seed}-{at:05}"
        table = "fees" if layout == "interleaved" and (at // 23) % 2 else "bookings"
        yield Row(
            table=table,
            number=number,
            booked_on=date(2026, 1, 1) + timedelta(days=at // 6) if equal else day,
            text=SHOPS[at // 9 % len(SHOPS)] if equal else f"{draw.choice(SHOPS)} {draw.choice('ABCDEFGH')}",
            amount=[1.5, 2.0, 3.5][at // 3 % 3] if equal else amount,
        )


Page = list[list[str]]
"""Lines of cells."""


def _pages(draw: random.Random, rows: Sequence[Row], layout: str, scalars: dict[str, str]) -> Iterator[Page]:
    columns = list(COLUMNS)
    page: Page = [["Statement of account", scalars["account"]], [f"All amounts in {scalars['currency']}"], []]
    page.append(_heads(columns))
    number, table, total = 1, rows[0].table, 0.0
    carried: list[str] | None = None
    for row in rows:
        turns = row.table != table
        if len(page) >= PAGE_LINES or turns:
            if layout == "sub-totals":
                page.append(["Sub-total of the page", f"{total:.2f}"])
            page.append([f"Page {number}"])
            yield page
            number, total, table = number + 1, 0.0, row.table
            if layout == "moving columns":
                draw.shuffle(columns)
            page = [["Statement of account", scalars["account"], "continued"], [], _heads(columns)]
            if carried is not None:
                page.append(carried)
                carried = None
        total += row.amount
        cells = [row.cells[name] for name in columns]
        if layout == "over page breaks" and len(page) == PAGE_LINES - 1:
            page.append(cells[:2])
            carried = ["", "", *cells[2:]]
        else:
            page.append(cells)
    if carried is not None:
        page.append(carried)
    yield [*page, [f"Page {number}"]]


def _heads(columns: Sequence[str]) -> list[str]:
    return [name.replace("_", " ").capitalize() for name in columns]


def _csv(pages: Sequence[Page]) -> tuple[str, bytes]:
    out = io.StringIO()
    csv.writer(out).writerows(line for page in pages for line in page)
    return "text/csv", out.getvalue().encode()


def _xlsx(pages: Sequence[Page]) -> tuple[str, bytes]:
    book = Workbook()
    sheet = book.active
    for page in pages:
        for line in page:
            sheet.append(line)
    out = io.BytesIO()
    book.save(out)
    return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", out.getvalue()


def _html(pages: Sequence[Page]) -> tuple[str, bytes]:
    out = ["<html><body>"]
    for page in pages:
        out.append("<table>")
        out += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in page]
        out.append("</table>")
    return "text/html", "\n".join([*out, "</body></html>"]).encode()


def _pdf(pages: Sequence[Page]) -> tuple[str, bytes]:
    kids = " ".join(f"{4 + 2 * at} 0 R" for at in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for at, page in enumerate(pages):
        drawn = "\n".join(_drawn(page)).encode()
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >>"
            f" /Contents {5 + 2 * at} 0 R >>".encode()
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    return "application/pdf", _assembled(objects)


def _drawn(page: Page) -> Iterator[str]:
    for line, cells in enumerate(page):
        for column, cell in enumerate(cells):
            words = cell.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            yield f"BT /F 10 Tf 1 0 0 1 {50 + 130 * column} {790 - 15 * line} Tm ({words}) Tj ET"


def _assembled(objects: Sequence[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    begins = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, begins)
    return bytes(out)


WRITERS: dict[str, Callable[[Sequence[Page]], tuple[str, bytes]]] = {
    "pdf": _pdf,
    "csv": _csv,
    "xlsx": _xlsx,
    "html": _html,
}


def statement(seed: int, length: int = 90) -> tuple[Made, list[dict[str, Any]]]:
    """A statement whose balances run, as a PDF, and its bookings as the built-in prompt has them."""
    draw = random.Random(seed)
    balance = opening = draw.randrange(10_000, 900_000)
    bookings: list[dict[str, Any]] = []
    lines: list[list[str]] = []
    for at in range(length):
        amount = draw.choice((-1, 1)) * draw.randrange(100, 90_000)
        balance += amount
        day = date(2026, 1, 1) + timedelta(days=at // 3)
        text = f"{draw.choice(SHOPS)} {seed}{at:03}"  # no other statement has it
        lines.append([f"{day:%d.%m.%Y}", text, f"{amount / 100:.2f}", f"{balance / 100:.2f}"])
        bookings.append(
            {"booked_on": day.isoformat(), "text": text, "amount": amount / 100, "balance": balance / 100}
        )
    head = [["Account", f"ACC-{seed:05}"], ["All amounts in EUR"], ["Opening balance", f"{opening / 100:.2f}"], []]
    heads = ["Date", "Text", "Amount", "Balance"]
    pages = [[*(head if not at else []), heads, *lines[at : at + 35]] for at in range(0, length, 35)]
    pages[-1].append(["Closing balance", f"{balance / 100:.2f}"])
    media_type, body = _pdf(pages)
    scalars = {"opening_balance": f"{opening / 100:.2f}", "closing_balance": f"{balance / 100:.2f}"}
    made = Made(
        name=f"statement-{seed}.pdf",
        layout="statement",
        media_type=media_type,
        body=body,
        rows=(),
        scalars=scalars,
    )
    return made, bookings
