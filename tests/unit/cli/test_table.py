"""No figure in a table is ever cut or broken, at any width, and nothing in it acts."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cli.console import usd
from cli.costs import print_costs, print_csv, print_waste
from cli.table import no_formula, print_table
from db.costs import CostRow
from docmill.visible import visible

WIDTHS = (None, 60, 80, 140)
"""None is a pipe."""
HOSTILE = (
    *("[red]total.txt", "[/x]", "[models.large]", ":smile:", "\x1b[31mred\x1b[0m", "a\nb\r\tc", "txt.\u202egpj", "\udc80"),
    *("=1+1", "-5 apples", "@SUM(A1)", "日本語の文書.pdf", "x" * 300, "word " * 60, "", "invoice-2026-000123456789.pdf"),
)  # fmt: skip
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec=None, categories=None), max_size=30))
FIGURES = st.one_of(
    st.integers(-(10**12), 10**15), st.decimals(0, 10**6, places=10, allow_nan=False, allow_infinity=False)
)


def printed(width: int | None, *arguments: Any, show: Any = print_table, **options: Any) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    environment |= {} if width is None else {"COLUMNS": str(width)}
    told = io.StringIO()
    with mock.patch.dict(os.environ, environment, clear=True), contextlib.redirect_stdout(told):
        show(*arguments, **options)
    return told.getvalue()


def assert_whole(told: str, figures: Sequence[object]) -> None:
    for figure in figures:
        shown = f"{figure:f}" if isinstance(figure, Decimal) else str(figure)
        assert re.search(rf"(?<![\d.,]){re.escape(shown)}(?![\d.,])", told), (shown, told)


@given(
    st.lists(st.tuples(FIGURES, TEXTS, FIGURES, TEXTS, FIGURES), min_size=1, max_size=4), st.sampled_from(WIDTHS)
)
def test_every_figure_is_whole_and_nothing_acts(rows: list[tuple[Any, ...]], width: int | None) -> None:
    told = printed(width, "Jobs", ("job", "document", "tokens", "fields", "possibly billed"), rows)
    assert_whole(told, [cell for row in rows for cell in row if not isinstance(cell, str)])
    assert visible(told.replace("\n", "")) == told.replace("\n", "")
    letters = re.sub(r"\s", "", told)
    for row in rows:
        for cell in row:
            if isinstance(cell, str) and len(cell) < 20 and width is None:
                assert visible(cell).strip() in told
            assert not isinstance(cell, str) or all(each in letters for each in re.sub(r"\s", "", visible(cell)))


@given(st.lists(st.tuples(FIGURES, TEXTS, FIGURES), min_size=1, max_size=3), st.sampled_from((60, 80, 140)))
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[Any, ...]], width: int) -> None:
    """Then the terminal would break it, anywhere. Only a word with figures that is wider itself may be."""
    told = printed(width, "Jobs", ("job", "document", "USD"), rows)
    longest = max(
        [cell_len(word) for row in rows for cell in row for word in visible(str(cell)).split(" ")] or [0]
    )
    assert max(map(cell_len, told.splitlines())) <= max(width, longest + 12)


def cost(**changes: Any) -> CostRow:
    counts = dict.fromkeys(CostRow._fields[1:], 0)
    figures = {**counts, "calls": 1_062_962, "input_tokens": 201_616_300, "accepted": 3000, "failed": 4}
    amounts = {name: Decimal(0) for name in CostRow._fields if name.endswith("_usd")}
    amounts |= {"cost_usd": Decimal("1234.0502550001"), "saved_usd": Decimal("0.0016")}
    return CostRow(**{"group": {"feature": "till"}, **figures, **amounts, **changes})


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("show", [print_costs, print_waste])
def test_costs_are_whole_and_summed(width: int | None, show: Any) -> None:
    names = ["feature", "day", "model"]
    rows = [
        cost(group={"feature": feature, "day": "2026-11-30", "model": "gpt-5-mini-2025-08-07"}, possibly_billed=7)
        for feature in ("till", "[red]", "a long name of a feature that nobody would give")
    ]
    told = printed(width, "Costs", names, rows, show=show)
    assert "2026-11-30" in told
    assert "gpt-5-mini-2025-08-07" in told
    figures = ["1234.0502550001", "7", "21", "3702.1507650003"]
    if show is print_costs:
        figures += ["1062962", "201616300", "3000", "0.001600", "3188886", "604848900", "9000", "0.004800"]
    assert_whole(told, figures)
    assert "total" in told


def test_an_amount_is_never_rounded_to_nothing() -> None:
    assert [usd(each) for each in (None, Decimal(0), Decimal("0.0016"), Decimal("0.0000002"), Decimal("12.3456789012"))] == [
        "unknown", "0.000000", "0.001600", "0.0000002", "12.3456789012",
    ]  # fmt: skip


def test_csv_has_no_formula_and_its_numbers_stay_numbers() -> None:
    groups = ("=1+1", "+cmd", "-5 apples", "@SUM", "\tx", "\rx", "-5", "till")
    rows = [cost(group={"feature": each}, saved_usd=Decimal("-0.5")) for each in groups]
    told = list(csv.DictReader(io.StringIO(printed(None, ["feature"], rows, show=print_csv), newline="")))
    assert [row["feature"] for row in told] == [*(f"'{visible(each)}" for each in groups[:6]), "-5", "till"]
    assert {row["saved_usd"] for row in told} == {"-0.5"}
    assert no_formula("") == ""


def test_colour_is_for_what_needs_somebody_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    rows = [(1, "done"), (2, "failed"), (3, "needs_review")]
    told = printed(80, "Jobs", ("job", "state"), rows)
    assert "\x1b[31mfailed" in told
    assert "\x1b[33mneeds_review" in told
    assert "mdone" not in told
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[31m" not in printed(80, "Jobs", ("job", "state"), rows)
