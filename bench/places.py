"""Whether the right one of several places of a value is found, on PDFs that are made up with known boxes.

    .venv/bin/python -m bench.places [--documents 200] [--seed 1] [--show]

Tables with repeated amounts and equal rows, over several pages; items in blocks, also side by side; two parties
side by side with values in common; sums that equal an item's. Pages are turned and cropped at random. A place is
right where its box has its middle in the box of the value as it was drawn, and its size to within a third.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bench.harness import tell
from docmill.parsing import Place, locate
from docmill.reading.layout.geometry import Box
from docmill.reading.pdf import read_body
from docmill.reading.values import Limits

__all__ = ["Made", "Score", "make", "make_cards", "score"]

Spot: TypeAlias = tuple[int, Box]
"""A page, counted from 1, and a box on it as shares of the page as it is shown."""
LETTER = 0.6
"""Of the font's size: the width of Courier's letters."""
WIDTH, HEIGHT = 595.0, 842.0
NAMES = (
    "Chair",
    "Oak table",
    "Desk lamp",
    "Card fee",
    "Rent March",
    "Refund",
    "Paper A4",
    "Ink black",
    "Cable 2 m",
)
COLUMNS = (60.0, 110.0, 300.0, 350.0, 450.0)
"""Of an invoice's lines."""
PLACES = ("Bergen", "Lyon", "Graz", "Porto", "Gent")


@dataclass(kw_only=True)
class Page:
    """A page that is drawn upon, from its upper left corner."""

    number: int
    turns: int
    upright: bool
    """Whether its text is turned, too, so that it is shown level."""
    margin: float
    """That is cut off on each side."""
    drawn: list[str] = field(default_factory=list)

    @property
    def bottom(self) -> float:
        """How far down there is room."""
        return (WIDTH if self.upright and self.turns % 2 else HEIGHT) - 100

    def write(self, text: str, x: float, y: float, size: float = 10) -> Spot:
        """Draws a text, y being its base line from above; returns where it is shown."""
        inside = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        placed = self._matrix(x, y) if self.upright else f"1 0 0 1 {x:g} {HEIGHT - y:g}"
        self.drawn.append(f"BT /F1 {size:g} Tf {placed} Tm ({inside}) Tj ET")
        box = (x, y - 0.75 * size, x + LETTER * size * len(text), y + 0.25 * size)
        return self.number, self._level(box) if self.upright else self._turned(box)

    def _matrix(self, x: float, y: float) -> str:
        """Where a text begins that is turned back by as much as its page is turned to be shown."""
        return {
            0: f"1 0 0 1 {x:g} {HEIGHT - y:g}",
            1: f"0 1 -1 0 {y:g} {x:g}",
            2: f"-1 0 0 -1 {WIDTH - x:g} {y:g}",
            3: f"0 -1 1 0 {WIDTH - y:g} {HEIGHT - x:g}",
        }[self.turns]

    def _level(self, box: Box) -> Box:
        across, down = (HEIGHT, WIDTH) if self.turns % 2 else (WIDTH, HEIGHT)
        x0, x1 = ((edge - self.margin) / (across - 2 * self.margin) for edge in (box[0], box[2]))
        y0, y1 = ((edge - self.margin) / (down - 2 * self.margin) for edge in (box[1], box[3]))
        return x0, y0, x1, y1

    def _turned(self, box: Box) -> Box:
        across, down = WIDTH - 2 * self.margin, HEIGHT - 2 * self.margin
        x0, x1 = ((edge - self.margin) / across for edge in (box[0], box[2]))
        y0, y1 = ((edge - self.margin) / down for edge in (box[1], box[3]))
        return {
            0: (x0, y0, x1, y1),
            1: (1 - y1, x0, 1 - y0, x1),
            2: (1 - x1, 1 - y1, 1 - x0, 1 - y0),
            3: (y0, 1 - x1, y1, 1 - x0),
        }[self.turns]


@dataclass(kw_only=True)
class Made:
    """A document, its answer, and where each leaf of the answer was drawn."""

    chance: random.Random
    pages: list[Page] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    spots: dict[str, list[Spot]] = field(default_factory=dict)
    rows: dict[str, list[Spot]] = field(default_factory=dict)
    """Of each list's item all that was drawn of it."""

    def page(self) -> Page:
        """Begins a page, turned and cropped at random."""
        turns = self.chance.randrange(4) if self.chance.random() < 0.3 else 0
        page = Page(
            number=len(self.pages) + 1,
            turns=turns,
            upright=turns == 0 or self.chance.random() < 0.7,
            margin=20.0 * (self.chance.random() < 0.2),
        )
        self.pages.append(page)
        return self.pages[-1]

    def body(self) -> bytes:
        """The PDF."""
        kids = " ".join(f"{10 + 2 * at} 0 R" for at in range(len(self.pages)))
        parts = [
            "%PDF-1.4",
            "1 0 obj <</Type /Catalog /Pages 2 0 R>> endobj",
            f"2 0 obj <</Type /Pages /Count {len(self.pages)} /Kids [{kids}]>> endobj",
            "3 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding>> endobj",
        ]
        for at, page in enumerate(self.pages):
            stream, edge = "\n".join(page.drawn), page.margin
            parts += [
                f"{10 + 2 * at} 0 obj <</Type /Page /Parent 2 0 R /MediaBox [0 0 {WIDTH:g} {HEIGHT:g}]",
                f"/CropBox [{edge:g} {edge:g} {WIDTH - edge:g} {HEIGHT - edge:g}] /Rotate {90 * page.turns}",
                f"/Contents {11 + 2 * at} 0 R /Resources <</Font <</F1 3 0 R>>>>>> endobj",
                f"{11 + 2 * at} 0 obj <</Length {len(stream)}>> stream\n{stream}\nendstream endobj",
            ]
        return "\n".join([*parts, "trailer <</Root 1 0 R>>", "%%EOF"]).encode("cp1252")


def make(seed: int) -> Made:
    """Makes up a document of a kind that the seed chooses."""
    made = Made(chance=random.Random(seed))
    kind = (_table, _table, _blocks, _statement, _parties)[seed % 5]
    kind(made)
    return made


def make_cards(seed: int) -> Made:
    """Makes up a document whose items stand side by side, two or three upon the same lines."""
    made = Made(chance=random.Random(seed))
    page, across = made.page(), 2 + seed % 2
    made.answer["items"] = []
    for at in range(made.chance.randrange(3, 13)):
        x, y, item = 40 + 510 / across * (at % across), 70.0 + 62 * (at // across), {}
        for name, value, written in _block(made.chance):
            page.write(f"{name.title()}:", x, y, 8)
            spot = page.write(written, x + 50, y, 8)
            made.spots[f"items.{at}.{name}"] = [spot]
            made.rows.setdefault(f"items.{at}", []).append(spot)
            item[name], y = value, y + 12
        made.answer["items"].append(item)
    return made


def _money(chance: random.Random) -> tuple[float, str]:
    """An amount out of a few, so that most stand in several places."""
    cents = chance.choice((1000, 1250, 2000, 2500, 4999, 10000, chance.randrange(100, 99_999)))
    return cents / 100, f"{cents / 100:,.2f}"


def _table(made: Made) -> None:
    """An invoice whose lines go over several pages, some of them equal, with its parties above and sums below."""
    page = made.page()
    _party(made, page, "seller", 60, 70)
    _party(made, page, "buyer", 340, 70)
    lines: list[dict[str, Any]] = []
    y, last = 180.0, None
    _heading(page, y)
    for at in range(made.chance.randrange(3, 45)):
        y += made.chance.choice((14, 18))
        if y > page.bottom:
            page, y = made.page(), 100.0
            _heading(page, y)
            y += 18
        again = last is not None and made.chance.random() < 0.25
        last = last if again and last else _line(made.chance)
        lines.append(_drawn_line(made, page, at, last, y))
    made.answer["lines"] = lines
    total = sum(round(line["amount"] * 100) for line in lines)
    if len(lines) < 6 and made.chance.random() < 0.5:
        total = round(lines[0]["amount"] * 100)  # a sum that equals an amount
    made.answer["total"] = total / 100
    page.write("Total", 350, y + 30)
    made.spots["total"] = [page.write(f"{total / 100:,.2f}", 450, y + 30)]


def _heading(page: Page, y: float) -> None:
    for name, x in zip(("Pos", "Description", "Qty", "Price", "Amount"), COLUMNS, strict=True):
        page.write(name, x, y)


def _line(chance: random.Random) -> tuple[str, int, str, str]:
    price, written = _money(chance)
    quantity = chance.choice((1, 1, 1, 2, 5))
    return chance.choice(NAMES), quantity, written, f"{price * quantity:,.2f}"


def _drawn_line(made: Made, page: Page, at: int, line: tuple[str, int, str, str], y: float) -> dict[str, Any]:
    name, quantity, price, amount = line
    cells = {"description": name, "quantity": f"{quantity}", "unit_price": price, "amount": amount}
    drawn = [page.write(f"{at + 1}", COLUMNS[0], y)]
    for (field_name, cell), x in zip(cells.items(), COLUMNS[1:], strict=True):
        spot = page.write(cell, x, y)
        made.spots[f"lines.{at}.{field_name}"] = [spot]
        drawn.append(spot)
    made.rows[f"lines.{at}"] = drawn
    numbers = {"unit_price": float(price.replace(",", "")), "amount": float(amount.replace(",", ""))}
    return {"description": name, "quantity": quantity, **numbers}


def _party(made: Made, page: Page, who: str, x: float, y: float) -> None:
    page.write(f"{who.title()}:", x, y)
    name = made.chance.choice(("Nordlys AS", "Atelier Lune", "Fjord Trading"))
    city = made.chance.choice(PLACES)
    spots = {"name": page.write(name, x, y + 14), "city": page.write(city, x, y + 28)}
    made.answer[who] = {"name": name, "city": city}
    made.spots |= {f"{who}.{field_name}": [spot] for field_name, spot in spots.items()}


def _blocks(made: Made) -> None:
    """Items one below the other, each a few lines with labels."""
    page = made.page()
    y, items = 70.0, []
    for at in range(made.chance.randrange(2, 14)):
        if y > page.bottom - 30:
            page, y = made.page(), 70.0
        item: dict[str, Any] = {}
        for name, value, written in _block(made.chance):
            page.write(f"{name.title()}:", 60, y)
            spot = page.write(written, 180, y)
            made.spots[f"items.{at}.{name}"] = [spot]
            made.rows.setdefault(f"items.{at}", []).append(spot)
            item[name], y = value, y + 14
        items.append(item)
        y += 14
    made.answer["items"] = items


def _block(chance: random.Random) -> Iterator[tuple[str, Any, str]]:
    amount, written = _money(chance)
    name, city = f"{chance.choice(NAMES)} {chance.randrange(1, 40)}", chance.choice(PLACES)
    yield "name", name, name
    yield "city", city, city
    yield "amount", amount, written


def _statement(made: Made) -> None:
    """Debits and credits in columns of their own, the balance beside them, each day's lines alike."""
    page = made.page()
    number = f"{made.chance.randrange(10_000, 99_999)}"
    page.write("Account number", 60, 70)
    made.spots["account_number"] = [page.write(number, 180, 70)]
    made.answer["account_number"] = number
    edges = (60.0, 140.0, 300.0, 380.0, 470.0)
    for name, x in zip(("Date", "Text", "Debit", "Credit", "Balance"), edges, strict=True):
        page.write(name, x, 100)
    balance, y, entries = 100_000, 100.0, []
    for at in range(made.chance.randrange(4, 35)):
        y += 15
        if y > page.bottom:
            page, y = made.page(), 100.0
        day = 1 + at // 3
        amount, written = _money(made.chance)
        side = made.chance.choice(("debit", "credit"))
        balance += round(amount * 100) * (1 if side == "credit" else -1)
        text = made.chance.choice(NAMES)
        cells = {"date": f"{day:02}.03.2026", "text": text, side: written, "balance": f"{balance / 100:,.2f}"}
        drawn = {name: page.write(cell, edges[("date", "text", "debit", "credit", "balance").index(name)], y)
                 for name, cell in cells.items()}  # fmt: skip
        made.spots |= {f"entries.{at}.{name}": [spot] for name, spot in drawn.items()}
        made.rows[f"entries.{at}"] = list(drawn.values())
        entries.append({"date": f"2026-03-{day:02}", "text": text, side: amount, "balance": balance / 100})
    made.answer["entries"] = entries


def _parties(made: Made) -> None:
    """Two columns of parties, dates and sums, with values in common."""
    page = made.page()
    page.write("Agreement", 60, 60, 14)
    for who, x in (("seller", 60), ("buyer", 330)):
        _party(made, page, who, x, 100)
    y = 200.0
    for name in made.chance.sample(("subtotal", "vat", "total", "deposit", "order_date", "due_date"), 6):
        y += 18
        if name.endswith("date"):
            day = made.chance.choice((3, 4))
            value: object = f"2026-03-{day:02}"
            written = f"{day} March 2026"
        else:
            value, written = _money(made.chance)
        page.write(name.replace("_", " ").title(), 60, y)
        made.answer[name] = value
        made.spots[name] = [page.write(written, 200, y)]


@dataclass(kw_only=True)
class Score:
    """How many leaves there were, and how many were found, in their place, and in another item's row."""

    leaves: int = 0
    right: int = 0
    missing: int = 0
    in_another_row: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: Score) -> None:
        """Sums two."""
        self.leaves, self.right = self.leaves + other.leaves, self.right + other.right
        self.missing += other.missing
        self.in_another_row += other.in_another_row
        self.wrong += other.wrong


def score(made: Made) -> Score:
    """Reads the document as docmill does, and holds each leaf's place against where it was drawn."""
    reading = read_body(made.body(), charset=None, limits=Limits())
    places = locate(made.answer, reading)
    total = Score()
    for path, spots in made.spots.items():
        place = places[path]
        total.leaves += 1
        if any(_fits(place, spot) for spot in spots):
            total.right += 1
            continue
        total.missing += not place.found
        row = path.rpartition(".")[0]
        others = [spot for item, drawn in made.rows.items() if item != row for spot in drawn]
        total.in_another_row += row in made.rows and any(_fits(place, spot) for spot in others)
        total.wrong.append(f"{path}: {place.quote!r} on page {place.page} at {place.boxes}, drawn at {spots}")
    return total


def _fits(place: Place, spot: Spot) -> bool:
    page, drawn = spot
    if place.page != page or len(place.boxes) != 1:
        return False
    (box,) = place.boxes
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    inside = drawn[0] <= middle[0] <= drawn[2] and drawn[1] <= middle[1] <= drawn[3]
    sizes = [(box[at + 2] - box[at]) / (drawn[at + 2] - drawn[at]) for at in (0, 1)]
    return inside and all(0.67 <= size <= 1.34 for size in sizes)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--documents", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--show", action="store_true", help="each place that is wrong")
    chosen = options.parse_args()
    total, kinds = Score(), Counter[str]()
    for seed in range(chosen.seed, chosen.seed + chosen.documents):
        made = {("table", "table", "blocks", "statement", "parties")[seed % 5]: make(seed)}
        made |= {"cards": make_cards(seed)} if seed % 5 == 0 else {}
        for kind, each in made.items():
            found = score(each)
            total.add(found)
            kinds[kind] += len(found.wrong)
            for wrong in found.wrong if chosen.show else ():
                print(seed, wrong)
    share = total.right / total.leaves
    tell(
        "places", {"leaves": total.leaves, "right": share, "another_row": total.in_another_row, **kinds}, "leaves"
    )


if __name__ == "__main__":
    main()
