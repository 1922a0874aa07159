"""From words with boxes to lines: rows stay rows, columns of prose stay columns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.reading.layout.composing import compose, compose_page
from docmill.reading.layout.lines import lines_of
from docmill.reading.layout.words import Word

HEIGHT = 10.0
WIDTH = 5.0
"""Of a letter, in points."""


def placed(text: str, x: float, y: float, order: int = 0) -> list[Word]:
    """The words of a text that begins at a place, a space of half a letter between them."""
    words = []
    for at, word in enumerate(text.split()):
        words.append(Word(word, x, y, x + WIDTH * len(word), y + HEIGHT, order + at))
        x += WIDTH * (len(word) + 0.5)
    return words


def text_of(words: Sequence[Word]) -> str:
    return compose(lines_of(words)).text


def table(rows: Sequence[Sequence[str]], *, x: float = 50, y: float = 100, pitch: float = 20) -> list[Word]:
    """A table as it is drawn: each cell at its column's left edge, one row after the other."""
    columns = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    edges = [x + sum(width * WIDTH + 15 for width in columns[:at]) for at in range(len(columns))]
    return [
        word
        for line, row in enumerate(rows)
        for edge, cell in zip(edges, row, strict=True)
        for word in placed(cell, edge, y + pitch * line)
    ]


def cells(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.split("\n") if line]


NAMES = st.sampled_from(["Chair", "Desk lamp", "Card fee", "Rent for March", "Refund", "Oak table"])
AMOUNTS = st.integers(1, 99_999).map(lambda cents: f"{cents / 100:,.2f}")


@settings(max_examples=60)
@given(st.data(), st.integers(3, 12), st.booleans())
def test_every_cell_stands_in_its_row_and_column(data: st.DataObject, count: int, drawn_by_column: bool) -> None:
    rows = [["Date", "Text", "Debit", "Credit", "Balance"]]
    for day in range(count):
        debit = data.draw(st.booleans())
        amount = data.draw(AMOUNTS)
        rows.append(
            [f"{day + 1:02}.03", data.draw(NAMES), *((amount, "") if debit else ("", amount)), data.draw(AMOUNTS)]
        )
    words = table(rows, pitch=14)
    if drawn_by_column:
        words.sort(key=lambda word: (word.x0, word.y0))
    both = {bool(row[2]) for row in rows[1:]}
    if both == {True, False}:
        assert cells(text_of(words)) == rows
    else:
        assert [[cell for cell in row if cell] for row in cells(text_of(words))] == [
            [cell for cell in row if cell] for row in rows
        ]


@pytest.mark.parametrize("pitch", [11.0, 12.0, 13.5])
def test_a_cell_that_wraps_stays_with_its_row(pitch: float) -> None:
    words = [*placed("Item", 50, 80), *placed("Price", 300, 80)]
    for at, (name, amount) in enumerate(
        (("Stationery dividers in A4 size", "198.00"), ("Yoghurt with banana", "275.00"))
    ):
        y = 110 + at * 60
        first, second = name.split(" ", 2)[:2], name.split(" ", 2)[2]
        words += [*placed(str(at + 1), 20, y), *placed(" ".join(first), 50, y), *placed(amount, 300, y)]
        words += placed(second, 50, y + pitch)
    assert cells(text_of(words))[1:] == [
        ["1", "Stationery dividers in A4 size", "198.00"],
        ["2", "Yoghurt with banana", "275.00"],
    ]


def test_an_amount_beside_the_second_line_of_its_row_belongs_to_it() -> None:
    words = [*placed("1", 20, 100), *placed("Chair of oak", 50, 100), *placed("4 pcs", 200, 100)]
    words += [*placed("4012345001235", 50, 111), *placed("198.00", 300, 111)]
    words += [
        *placed("2", 20, 150),
        *placed("Desk", 50, 150),
        *placed("1 pcs", 200, 150),
        *placed("275.00", 300, 150),
    ]
    assert cells(text_of(words)) == [
        ["1", "Chair of oak 4012345001235", "4 pcs", "198.00"],
        ["2", "Desk", "1 pcs", "275.00"],
    ]


def prose(seed: int, lines: int) -> list[str]:
    chance = random.Random(seed)
    letters = [
        "the",
        "contract",
        "between",
        "both",
        "parties",
        "ends",
        "with",
        "a",
        "notice",
        "of",
        "three",
        "months",
        "before",
        "the",
        "year",
        "is",
        "over",
    ]
    return [" ".join(chance.choices(letters, k=8)) for _ in range(lines)]


@given(st.integers(0, 1000), st.integers(5, 30), st.booleans())
@settings(max_examples=40)
def test_columns_of_prose_are_read_one_after_the_other(seed: int, lines: int, by_row: bool) -> None:
    left, right = prose(seed, lines), prose(seed + 1, lines)
    widest = max(map(len, (*left, *right))) * WIDTH
    words = placed("A heading over both of the columns", 50, 40)
    columns = [
        [placed(line, x, 80 + 12 * at) for at, line in enumerate(column)]
        for x, column in ((50.0, left), (50.0 + widest + 30, right))
    ]
    order = zip(*columns, strict=True) if by_row else columns
    words += [word for group in order for line in group for word in line]
    found = [line for line in text_of(words).split("\n") if line]
    assert found == ["A heading over both of the columns", *left, *right]


def test_a_word_divided_at_the_end_of_a_line_is_one() -> None:
    words = [*placed("the Karls-", 50, 80), *placed("Ruhe works, ref 2026-", 50, 92)]
    words += [*placed("0077 and the con-", 50, 104), *placed("tract - ends", 50, 116)]
    composed = compose(lines_of(words))
    assert composed.text == "the Karls-Ruhe works, ref 2026-0077 and the contract - ends"
    for span in composed.spans:
        assert composed.text[span.start : span.end].strip() == composed.text[span.start : span.end]


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_page_that_is_shown_turned_is_read_as_if_it_was_not(quarters: int) -> None:
    words = placed("Bookings of March", 50, 60)
    words += table([["Date", "Text", "Amount"], ["01.03.", "Tea", "2.50"], ["01.03.", "Tea", "2.50"]], y=90)
    words += placed("All of it was paid in cash, on the day on which it was booked", 50, 170)
    level = compose_page(words)
    turned = compose_page([word.turned(-quarters) for word in words])
    assert turned.text == level.text == text_of(words)
    assert turned.spans == [span.turned(-quarters) for span in level.spans]
    assert {span.x0 for span in turned.spans} != {span.x0 for span in level.spans}


@pytest.mark.parametrize("quarters", range(4))
def test_boxes_that_are_told_too_high_are_lowered_across_their_line(quarters: int) -> None:
    (span,) = compose_page([Word("2.50", 10, 20, 30, 40, 0).turned(-quarters)], excess=0.2).spans
    back = span.turned(quarters)
    assert (back.x0, back.y0, back.x1, back.y1) == (10, 22, 30, 38)


def test_a_word_beside_the_text_turns_no_page() -> None:
    words = [*placed("Tea 2.50", 50, 80), *placed("Pot 3.00", 50, 95)]
    beside = Word("DRAFT", 10, 60, 20, 120, 9, turns=1)
    assert compose_page([beside, *words]).text == "Tea 2.50\nPot 3.00\nDRAFT"


@given(
    st.lists(
        st.tuples(st.text("aä-1東", min_size=1, max_size=5), st.floats(0, 600), st.floats(0, 800)), max_size=40
    )
)
def test_no_word_is_lost_whatever_the_places(found: list[tuple[str, float, float]]) -> None:
    words = [Word(text, x, y, x + 5 * len(text), y + 10, at) for at, (text, x, y) in enumerate(found)]
    composed = compose(lines_of(words))
    letters = sorted(letter for word in words for letter in word.text if letter != "-")
    assert sorted(letter for letter in composed.text if letter not in "- \t\n") == letters
    assert len(composed.spans) == len(words)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A table as it is drawn: its words, and what stands in the cells of each of its rows."""

    words: list[Word]
    rows: list[list[str]]


def made_table(chance: random.Random, x: float, y: float, name: str) -> Made:
    """Rows of a name that may wrap, amounts of which some are missing, and a heading that spans two columns."""
    widths = [20, *chance.choices([8, 9, 10], k=chance.randint(2, 4))]
    edges = [x + sum(widths[:at]) * WIDTH + 15 * at for at in range(len(widths))]
    words = placed(f"{name}-Sums of both", edges[1], y - 20) if chance.random() < 0.5 else []
    rows, pitch = [], chance.choice([18, 22, 26])
    for number in range(chance.randint(4, 9)):
        lines = [f"{name}{number}-{word}" for word in chance.sample(["Chair", "Lamp", "Oak", "Table"], k=2)]
        wraps = chance.random() < 0.3
        amounts = [
            f"{chance.randint(1, 999)}.{number}{at}" if at == len(widths) - 2 or chance.random() < 0.7 else ""
            for at in range(len(widths) - 1)
        ]
        for at, line in enumerate(lines if wraps else [" ".join(lines)]):
            words += placed(line, edges[0], y + at * 11)
        for edge, width, amount in zip(edges[1:], widths[1:], amounts, strict=True):
            words += placed(amount, edge + (width - len(amount)) * WIDTH, y)  # to the right, as amounts are
        rows.append([" ".join(lines), *amounts])
        y += pitch + 11 * wraps
    return Made(words=words, rows=rows)


@pytest.mark.parametrize("seed", range(40))
def test_generated_tables_keep_each_cell_in_its_row_and_column(seed: int) -> None:
    chance = random.Random(seed)
    tables = [made_table(chance, 40, 100, "L")]
    if seed % 2:
        tables.append(made_table(chance, 420, 100, "R"))
    lines = cells(text_of([word for table in tables for word in table.words]))
    for table in tables:
        columns: dict[int, set[int]] = {}
        for row in table.rows:
            (line,) = [line for line in lines if row[0] in line]
            for column, cell in enumerate(row):
                if cell:
                    columns.setdefault(column, set()).add(line.index(cell))
        assert all(len(places) == 1 for places in columns.values()), columns
