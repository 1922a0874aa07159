"""Answers in a file, read back: they are what went in, whatever that was."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from docmill.errors import Misconfigured
from docmill.sheets import MAIN, MORE, Sheets, no_formula

HOSTILE = (
    "=1+1",
    "@SUM(A1)",
    "+cmd",
    "-5 apples",
    "\tx",
    "[red]",
    "a\nb",
    "\x1b[31m",
    "日本語",
    "'quoted",
    "",
    "x" * 40_000,
)
TEXTS = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)
SCALARS = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.decimals(-(10**6), 10**6, places=4).map(float),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=12,
)


def written(path: Path, *values: Any) -> tuple[Sheets, list[Path]]:
    with Sheets() as sheets:
        for number, value in enumerate(values, start=1):
            sheets.add({"id": number, "path": f"in/{number}.txt"}, value)
        return sheets, sheets.write(path)


def workbook(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    book = load_workbook(path)
    for sheet in book:
        assert not [cell for row in sheet for cell in row if cell.data_type == "f"], "no text is a formula"
    return {sheet.title: [tuple(cell.value for cell in row) for row in sheet] for sheet in book}


INVOICE = {
    "number": "=1+1",
    "total": -12.5,
    "seller": {"name": "-5 apples", "id": 12345678901234567890},
    "paid": False,
    "lines": [{"name": "Tea", "cents": [1, 2]}, {"name": "@SUM", "discount": None}],
    "tags": ["a", "b"],
    "path": "an answer's own",
}


def test_a_workbook_has_a_row_a_job_and_a_sheet_a_list(tmp_path: Path) -> None:
    written(tmp_path / "a.xlsx", INVOICE, {"total": 3})
    found = workbook(tmp_path / "a.xlsx")
    assert found == {
        MAIN: [
            ("id", "path", "number", "total", "seller.name", "seller.id", "paid", "answer.path"),
            (1, "in/1.txt", "=1+1", -12.5, "-5 apples", "12345678901234567890", False, "an answer's own"),
            (2, "in/2.txt", None, 3, None, None, None, None),
        ],
        "lines": [
            ("id", "path", "at", "name", "discount"),
            (1, "in/1.txt", "lines.0", "Tea", None),
            (1, "in/1.txt", "lines.1", "@SUM", None),
        ],
        "lines.cents": [
            ("id", "path", "at", "value"),
            (1, "in/1.txt", "lines.0.cents.0", 1),
            (1, "in/1.txt", "lines.0.cents.1", 2),
        ],
        "tags": [("id", "path", "at", "value"), (1, "in/1.txt", "tags.0", "a"), (1, "in/1.txt", "tags.1", "b")],
    }


def test_csv_has_a_file_a_list_and_no_formula(tmp_path: Path) -> None:
    _, files = written(tmp_path / "a.csv", INVOICE)
    assert sorted(file.name for file in files) == ["a.csv", "a.lines.cents.csv", "a.lines.csv", "a.tags.csv"]
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["number"] == "'=1+1"
    assert row["seller.name"] == "'-5 apples"
    assert Decimal(row["total"]) == Decimal("-12.5")
    assert (row["seller.id"], row["paid"]) == ("12345678901234567890", "False")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3))
def test_every_leaf_of_every_answer_stands_in_its_row(tmp_path: Path, values: list[Any]) -> None:
    sheets, _ = written(tmp_path / "a.xlsx", *values)
    assert sheets.jobs == len(values)
    found = workbook(tmp_path / "a.xlsx")
    assert [row[0] for row in found[MAIN][1:]] == list(range(1, len(values) + 1))
    assert [row[1] for row in found[MAIN][1:]] == [f"in/{number}.txt" for number in range(1, len(values) + 1)]
    cells = [cell for rows in found.values() for row in rows[1:] for cell in row]
    for leaf in (each for value in values for each in leaves(value)):
        if isinstance(leaf, bool):
            assert leaf in cells
        elif isinstance(leaf, int | float):
            assert any(
                not isinstance(cell, bool) and (cell == leaf or str(cell) == str(leaf))
                for cell in cells
                if cell is not None
            )
    _, files = written(tmp_path / "a.csv", *values)
    for file in files:
        with file.open(newline="", encoding="utf-8") as opened:
            rows = list(csv.reader(opened))
        assert len({len(row) for row in rows}) == 1
        assert not [cell for row in rows for cell in row if cell != no_formula(cell)]


def leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in leaves(each)]
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else [value]


def test_a_text_too_long_for_a_cell_is_cut_with_a_word(tmp_path: Path) -> None:
    sheets, _ = written(tmp_path / "a.xlsx", {"text": "x" * 40_000})
    (_, row) = workbook(tmp_path / "a.xlsx")[MAIN]
    assert (len(row[2]), row[2].endswith("cut here, of 40000 characters"), sheets.cut) == (32_767, True, 1)


def test_an_answer_of_very_many_fields_keeps_them_all(tmp_path: Path) -> None:
    written(tmp_path / "a.xlsx", {f"f{number}": number for number in range(3000)})
    names, row = workbook(tmp_path / "a.xlsx")[MAIN]
    assert names[-1] == MORE
    assert len(names) == 1001
    assert '"f2999": 2999' in row[-1]


def test_lists_of_like_names_are_sheets_apart(tmp_path: Path) -> None:
    value = {"a" * 40: [1], "a" * 41: [2], "a/b": [3], "a:b": [4], "jobs": [5], "": [6], "A_B": [7]}
    written(tmp_path / "a.xlsx", value)
    found = workbook(tmp_path / "a.xlsx")
    assert sorted(rows[1][3] for title, rows in found.items() if title != MAIN) == [1, 2, 3, 4, 5, 6, 7]
    assert all(len(title) <= 31 for title in found)
    _, files = written(tmp_path / "a.csv", value)
    assert len({file.name.lower() for file in files}) == 8


def test_nothing_is_a_file_too_and_another_ending_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a.xlsx")
    assert list(workbook(tmp_path / "a.xlsx")) == [MAIN]
    with pytest.raises(Misconfigured, match=r"no \.jsonl, \.csv, \.xlsx file"):
        written(tmp_path / "a.ods")
