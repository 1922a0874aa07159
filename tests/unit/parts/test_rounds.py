"""Long lists in parts, asked of an oracle that is lazy and cut off: every row once, in order, and what is missing told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from docmill.errors import ReplyRejected
from docmill.llm.wire.schemas import closed
from docmill.parsing import Count, Grounded, Running, Total, accept_part
from docmill.parsing.relaxing import relaxed
from docmill.parts import Answered, Lines, Shown, cut, join
from docmill.parts.cutting import Size
from docmill.parts.rounds import Found, Plan, Whole, next_round
from docmill.simulator.answers import Answers, Known


class Row(BaseModel):
    day: Annotated[str, Grounded()]
    text: Annotated[str, Grounded()]
    amount: Annotated[Decimal, Grounded()]
    balance: Annotated[Decimal, Grounded()] | None


class Output(BaseModel):
    holder: Annotated[str, Grounded()] | None = None
    opening: Decimal | None = Field(None, description="Opening balance")
    rows: list[Row] = Field(max_length=10_000)


class Balanced(Output):
    rows: Annotated[list[Row], Running("balance", adds="amount", opens="opening")]
    turnover: Annotated[Decimal, Total("rows.amount")] | None = None
    entries: Annotated[int, Count("rows")] | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    text: str
    rows: Sequence[dict[str, Any]]
    pages: Sequence[int]
    known: Answers


def table(
    count: int, *, equal: bool = False, left_out: Sequence[int] = (), extra: Sequence[Known] = (), end: str = ""
) -> Table:
    """A statement of so many rows on pages of 20, each with a header and a sub-total; truth without ``left_out``."""
    draw = random.Random(count)
    lines = ["Statement", "Holder: Ann Example", "Opening balance: 100.00", ""]
    rows: list[dict[str, Any]] = []
    pages, balance = [0], 10_000
    for at in range(count):
        amount = 150 if equal else draw.randrange(100, 9000)
        balance += amount
        day, text = (f"D{at // 4}", "Tea") if equal else (f"D{at}", draw.choice(("Tea", "Cake", "Paper cups")))
        if at % 20 == 0:
            if at:
                lines += [f"Sub-total {balance / 100:.2f}", ""]
                pages.append(sum(len(line) + 1 for line in lines))
            lines.append("Day | Text | Amount | Balance")
        stated = "" if equal else f" | {balance / 100:.2f}"
        lines.append(f"{day} | {text} | {amount / 100:.2f}{stated}")
        rows.append(
            {"day": day, "text": text, "amount": amount / 100, "balance": None if equal else balance / 100}
        )
    known = [
        Known(path=("rows", "-"), anchor=str(row["day"]), value=row)
        for at, row in enumerate(rows)
        if at not in left_out
    ]
    known += [
        Known(path=("holder",), anchor="Ann Example", value="Ann Example"),
        Known(path=("opening",), anchor="Opening balance: 100.00", value=100),
        *extra,
    ]
    return Table(text="\n".join([*lines, end]), rows=rows, pages=pages, known=Answers(known))


def asked(
    made: Table,
    *,
    lazy: int | None = None,
    cut_off: Callable[[int], bool] = lambda _: False,
    output: type[BaseModel] = Output,
    rows: int = 40,
) -> tuple[Found, list[int]]:
    """The end, and the numbers of the parts in the order in which they were asked."""
    lines, part_model = Lines(made.text), relaxed(output)
    parts = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=rows), made.pages)
    whole = Whole(
        lines=lines, pages=made.pages, schema=closed(output.model_json_schema()), output=output, ladder=2,
        output_limit=4096,
    )  # fmt: skip
    plan, accepted, calls = Plan.of(parts), {}, []
    while True:
        rejected: dict[int, ReplyRejected] = {}
        for part in plan.parts:
            if part.number in accepted or part.lost:
                continue
            calls.append(part.number)
            shown = "\n".join(made.text[start:end] for start, end in part.shown)
            reply = json.dumps(made.known.found_in(shown, most=lazy))
            finish = "length" if cut_off(len(calls)) else "stop"
            try:
                seen = Shown(lines, part.shown).text
                accepted[part.number] = accept_part(reply, part_model, document=seen, finish_reason=finish)
            except ReplyRejected as error:
                rejected[part.number] = error
        found = next_round(whole, Plan.read(json.loads(json.dumps(plan.as_json()))), accepted, rejected)
        if isinstance(found, Found):
            return found, calls
        plan = found.plan
        accepted = {part.number: accepted[part.number] for part in plan.parts if part.number in accepted}


def numbers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "amount": float(row["amount"])} for row in rows]


@settings(max_examples=12, deadline=None)
@given(st.integers(45, 160), st.sampled_from([None, 60, 25, 9]), st.integers(0, 3), st.booleans())
def test_every_row_is_found_once_and_in_order_however_lazy_and_cut_off(
    count: int, lazy: int | None, third: int, equal: bool
) -> None:
    made = table(count, equal=equal)
    found, _ = asked(made, lazy=lazy, cut_off=lambda call: third > 0 and call % (third + 4) == 0)
    assert found.failure is None
    assert numbers(found.value["rows"]) == numbers(made.rows)
    assert found.value["holder"] == "Ann Example"
    assert found.coverage["rows"] == count


def test_where_each_value_stands_is_told_and_two_equal_rows_stand_at_two_places() -> None:
    made = table(90, equal=True)
    found, _ = asked(made)
    seen = [found.evidence[f"rows.{at}.text"] for at in range(90)]
    places = [(each["start"], each["end"]) for each in seen]
    assert len(set(places)) == 90
    assert places == sorted(places)
    assert {made.text[start:end] for start, end in places} == {"Tea"}


def test_a_row_that_stands_nowhere_is_kept_and_counted() -> None:
    ghost = {"day": "D7", "text": "Cake", "amount": 1.25, "balance": None}
    lines = Lines(table(60).text)
    parts = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=100))
    joined = join(
        lines,
        closed(Output.model_json_schema()),
        [Answered(part=parts[0], value={"rows": [{**ghost, "day": "Z1", "text": "Nowhere"}, table(60).rows[0]]})],
    )
    assert [row["day"] for row in joined.value["rows"]] == ["Z1", "D0"]
    assert joined.unplaced == ["rows.0"]


def test_a_model_that_says_a_row_again_and_again_says_it_once() -> None:
    made = table(60)
    lines = Lines(made.text)
    parts = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=100))
    joined = join(
        lines,
        closed(Output.model_json_schema()),
        [Answered(part=parts[0], value={"rows": [made.rows[3]] * 500})],
    )
    assert joined.value["rows"] == [made.rows[3]]
    assert joined.repeated == 499


def test_a_value_that_parts_disagree_on_is_the_one_that_its_own_words_name() -> None:
    wrong = Known(path=("opening",), anchor="D35", value=17)
    found, _ = asked(table(90, extra=[wrong]), rows=30)
    assert found.failure is None
    assert found.value["opening"] == 100


def test_values_that_parts_disagree_on_without_a_word_that_names_one_are_both_told() -> None:
    made = table(90)
    lines = Lines(made.text)
    parts = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=30))
    said = [
        Answered(part=part, value={"holder": name}) for part, name in zip(parts, ("Tea", "Cake"), strict=False)
    ]
    joined = join(lines, closed(Output.model_json_schema()), said)
    assert [(each.path, each.rule) for each in joined.conflicts] == [
        ("holder", 'parts of the document say "Tea" and "Cake"')
    ]


@pytest.mark.parametrize("left_out", [0, 1, 33, 58, 70, 88])
def test_a_row_that_no_answer_has_is_a_gap_with_its_page(left_out: int) -> None:
    end = Known(path=("turnover",), anchor="Turnover", value=0)
    found, calls = asked(table(90, left_out=[left_out], extra=[end]), output=Balanced)
    told = found.failure.message if found.failure else ""
    assert found.failure is not None
    assert found.failure.kind == "wrong"
    assert found.value["rows"]
    assert "the balance runs to" in told
    assert f"page {1 + left_out // 20}" in told or f" {1 + left_out // 20}" in told
    assert len(calls) < 20


def test_an_answer_that_stays_cut_off_ends_and_says_which_pages_are_missing() -> None:
    found, calls = asked(table(90), cut_off=lambda call: call >= 2)
    assert found.failure is not None
    assert found.failure.kind == "truncated"
    assert "no model gives a usable answer to" in found.failure.message
    assert len(found.value["rows"]) >= 20
    assert found.coverage["unanswered_pages"]
    assert len(calls) < 400


def test_totals_and_counts_are_held_against_the_whole() -> None:
    made = table(90)
    turnover = round(sum(row["amount"] for row in made.rows), 2)
    extra = [
        Known(path=("turnover",), anchor="Turnover", value=turnover),
        Known(path=("entries",), anchor="Entries", value=90),
    ]
    whole = table(90, extra=extra, end=f"Turnover {turnover} Entries 90")
    assert asked(whole, output=Balanced)[0].failure is None
    short = table(
        90, extra=[extra[0], Known(path=("entries",), anchor="Entries", value=91)], end="Turnover Entries"
    )
    found, _ = asked(short, output=Balanced)
    assert found.failure is not None
    assert "entries: is 91, and rows has 90" in found.failure.message


def test_a_list_that_stays_empty_beside_a_table_goes_to_a_person() -> None:
    found, calls = asked(table(60, left_out=range(60)))
    assert found.failure is not None
    assert found.failure.message.startswith("no row was found, and 6")
    assert found.value["rows"] == []
    assert len(calls) < 60


class Figure(BaseModel):
    """A row of which only the value stands in the document: a line holds four of them."""

    period: str
    unit: str
    scope: str
    value: Decimal


class Report(BaseModel):
    sales: list[Figure] = []
    costs: list[Figure] = []


def report(lines: int, *, wanted: int) -> tuple[str, list[dict[str, Any]], Answers]:
    """Tables of four columns, of which the answer wants the first lines alone."""
    draw, text, figures, known = random.Random(lines), ["Report of the company, in pieces"], [], []
    for at in range(lines):
        cells = draw.sample(range(1000, 9999), 4)
        words = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=9))
        text.append(f"{words} | {' | '.join(map(str, cells))}")
        for place, cell in enumerate(cells if at < wanted else ()):
            figure = {"period": f"FY{place}", "unit": "pieces", "scope": "company", "value": cell}
            figures.append(figure)
            anchor = " ".join([words, *map(str, cells[: place + 1])])
            known.append(Known(path=("sales", "-"), anchor=anchor, value=figure))
    text = [line.replace(" | ", " ") for line in text]
    return "\n".join(text), figures, Answers(known)


def test_a_line_holds_several_rows_and_what_they_share_tells_nothing_of_their_place() -> None:
    text, figures, known = report(70, wanted=70)
    found, calls = asked(Table(text=text, rows=figures, pages=[0], known=known), lazy=60, output=Report)
    assert numbers_of(found.value["sales"]) == figures
    assert found.coverage["unplaced"] == 0
    assert len(calls) < 25


def numbers_of(figures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "value": int(each["value"])} for each in figures]


def test_tables_that_nobody_wants_are_not_asked_for_again_and_again() -> None:
    text, figures, known = report(300, wanted=12)
    found, calls = asked(Table(text=text, rows=figures, pages=[0], known=known), output=Report)
    assert numbers_of(found.value["sales"]) == figures
    assert len(calls) <= 8 + 300 / 12


def test_two_rows_that_say_different_things_of_one_value_are_both_kept() -> None:
    text, figures, _ = report(60, wanted=60)
    lines = Lines(text)
    (part,) = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=100))
    both = [*figures[:40], {**figures[5], "scope": "a branch"}, figures[6], {**figures[7], "scope": None}]
    joined = join(lines, closed(Report.model_json_schema()), [Answered(part=part, value={"sales": both})])
    assert sorted(map(str, joined.value["sales"])) == sorted(map(str, both[:-2]))
    assert joined.repeated == 2
    assert joined.unplaced == []


def test_of_two_rows_at_one_place_each_is_joined_with_its_own() -> None:
    text, figures, _ = report(60, wanted=60)
    lines = Lines(text)
    first, second, *_ = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=30))
    own = next(
        row for row in figures if all(part.holds(text.index(f" {row['value']}")) for part in (first, second))
    )
    of_branch = {**own, "scope": "a branch"}
    said = [
        Answered(part=first, value={"sales": [*figures[:8], own, of_branch]}),
        Answered(part=second, value={"sales": [of_branch]}),
    ]
    joined = join(lines, closed(Report.model_json_schema()), said)
    assert joined.value["sales"] == [*figures[:8], own, of_branch]


def test_rows_without_a_place_that_two_parts_say_of_the_same_lines_are_one() -> None:
    lines = Lines(report(60, wanted=60)[0])
    first, second, *_ = cut(lines, Size(tokens=6000, tokens_each=0.3, rows=30))
    odd = {"period": "FY9", "unit": "pieces", "scope": "everywhere", "value": 1}
    said = [Answered(part=part, value={"sales": [odd, {**odd, "value": part.number}]}) for part in (first, second)]
    joined = join(lines, closed(Report.model_json_schema()), said)
    assert sorted(row["value"] for row in joined.value["sales"]) == [1, 1, 2]
    assert len(joined.unplaced) == 3
