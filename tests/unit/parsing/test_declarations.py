"""What a prompt declares of the whole: totals, counts, running balances, numbers without gaps."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from docmill.errors import PromptBroken, ReplyWrong
from docmill.parsing import Count, Numbered, Running, Total, accept, check_whole
from docmill.parsing.declarations import gaps


class Row(BaseModel):
    number: int | None = None
    amount: Decimal | None = None
    balance: Decimal | None = None


class Output(BaseModel):
    opening: Decimal | None = None
    closing: Decimal | None = None
    total: Annotated[Decimal, Total("rows.amount")] | None = None
    count: Annotated[int | None, Count("rows")] = None
    rows: Annotated[
        list[Row], Running("balance", adds="amount", opens="opening", closes="closing"), Numbered("number")
    ] = []


def answer(*amounts: int, opening: int = 100, **others: Any) -> dict[str, Any]:
    rows, balance = [], opening
    for at, amount in enumerate(amounts, start=1):
        balance += amount
        rows.append({"number": at, "amount": amount, "balance": balance})
    sums = {"opening": opening, "closing": balance, "total": sum(amounts), "count": len(amounts)}
    return {**sums, "rows": rows, **others}


def told(value: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    return [(gap.path, gap.before, gap.behind) for gap in gaps(value, Output)]


def test_what_adds_up_has_no_gap_from_the_first_row_on_or_from_the_last() -> None:
    whole = answer(5, -7, 20)
    assert told(whole) == []
    turned = [{**row, "number": at} for at, row in enumerate(reversed(whole["rows"]), start=1)]
    assert told({**whole, "rows": turned}) == []


def test_each_gap_lies_between_its_rows() -> None:
    whole = answer(5, -7, 20, 3)
    without = {**whole, "rows": [*whole["rows"][:1], *whole["rows"][2:]]}
    assert told(without) == [
        ("total", None, None),
        ("count", None, None),
        ("rows.1", "rows.0", "rows.1"),
        ("rows.1", "rows.0", "rows.1"),
    ]
    assert ("rows", "rows.2", None) in told({**whole, "rows": whole["rows"][:3]})
    assert ("rows.0", None, "rows.0") in told({**whole, "rows": whole["rows"][1:]})


def test_what_is_not_known_is_held_against_nothing() -> None:
    rows = [{"number": None, "amount": None, "balance": None}, {"number": 9, "amount": 1, "balance": 50}]
    assert told({"opening": None, "closing": None, "total": None, "count": None, "rows": rows}) == []
    assert told({"rows": None, "total": 3, "count": 1, "opening": 1}) == []
    assert told({"rows": [{"balance": "no number"}, 7, None], "total": 10**400}) == []


def test_a_row_without_a_balance_counts_for_the_next() -> None:
    rows = [{"amount": 5}, {"amount": 6, "balance": 111}]
    assert told({"opening": 100, "rows": rows}) == []
    assert told({"opening": 100, "rows": [{"amount": 5}, {"amount": 6, "balance": 110}]}) != []


def test_an_answer_whose_declarations_do_not_hold_is_wrong_and_says_which() -> None:
    broken = answer(5, -7, 20, total=17)
    with pytest.raises(ReplyWrong, match=r"total: is 17, and rows.amount adds up to 18"):
        accept(json.dumps(broken), Output, document="")
    value, found = check_whole(broken, Output)
    assert value["total"] == 17
    assert [gap.path for gap in found] == ["total"]


def test_what_no_part_names_is_null_or_empty() -> None:
    assert check_whole({}, Output)[0] == {
        "opening": None, "closing": None, "total": None, "count": None, "rows": []
    }  # fmt: skip


def test_a_declaration_of_a_field_that_is_not_there_breaks_the_prompt() -> None:
    class Wrong(BaseModel):
        total: Annotated[Decimal, Total("lines.amount")]

    with pytest.raises(PromptBroken, match="names 'lines'"):
        gaps({"total": 1}, Wrong)


@given(st.lists(st.integers(-500, 500).filter(bool), min_size=3, max_size=40), st.data())
def test_any_row_left_out_of_a_running_balance_is_seen_where_it_was(
    amounts: list[int], data: st.DataObject
) -> None:
    whole = answer(*amounts)
    at = data.draw(st.integers(0, len(amounts) - 1))
    rows = whole["rows"][:at] + whole["rows"][at + 1 :]
    found = [gap for gap in gaps({**whole, "rows": rows}, Output) if "balance" in gap.rule]
    assert len(found) == 1
    assert found[0].before == (f"rows.{at - 1}" if at else None)
