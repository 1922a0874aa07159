"""Workbooks: what a person sees on the sheets comes out, in its row and column, and what is left out is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.cellformats import Formats
from docmill.reading.values import DEFAULT_LIMITS, Reading
from docmill.reading.xlsx import read_body
from tests.packages import xlsx

STYLES = (
    '<styleSheet><numFmts><numFmt numFmtId="164" formatCode="{}"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/></cellXfs></styleSheet>'
)


def read(rows: str, **options: Any) -> Reading:
    return read_body(xlsx(rows, **options), charset=None, limits=DEFAULT_LIMITS)


def shown(number: str, code: str, *, from_1904: bool = False) -> str:
    return Formats(codes=["General", code], from_1904=from_1904).shown(number, "1")


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        ("1234", "00000", "01234"),
        ("0.075", "0.0%", "7.5%"),
        ("1234.5", '#,##0.00 "EUR"', "1,234.50 EUR"),
        ("-50", "#,##0.00;(#,##0.00)", "(50.00)"),
        ("46096", "yyyy-mm-dd", "2026-03-15"),
        ("46096", "d. mmmm yyyy", "2026-03-15"),
        ("46096.75", "dd/mm/yyyy hh:mm", "2026-03-15 18:00"),
        ("46096", "mmm-yy", "Mar-26"),
        ("0.75", "h:mm", "18:00"),
        ("1.25", "[h]:mm", "30:00"),
        ("12345678901234", "General", "12345678901234"),
        ("0.30000000000000004", "General", "0.3"),
        ("3", "General", "3"),
        ("1e400", "0.00", "1e400"),
        ("1e300", "yyyy-mm-dd", "1e300"),
    ],
)
def test_a_number_is_shown_as_its_format_says(number: str, code: str, words: str) -> None:
    assert shown(number, code) == words


def test_days_are_counted_from_1904_where_the_workbook_says_so() -> None:
    assert shown("44634", "yyyy-mm-dd", from_1904=True) == "2026-03-15"


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=4), st.text(max_size=20))
def test_no_format_raises(number: Decimal, code: str) -> None:
    assert isinstance(shown(str(number), code), str)


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_two_places_keep_the_amount(number: Decimal) -> None:
    assert Decimal(shown(str(number), "#,##0.00").replace(",", "")) == number


def test_an_empty_cell_leaves_its_gap_and_a_line_break_does_not_end_the_row() -> None:
    row = '<row><c r="A1" t="inlineStr"><is><t>Chair\nblue</t></is></c><c r="D1"><v>10</v></c></row>'
    assert read(row).text == "Sheet\nChair blue\t\t\t10"


def test_a_formula_that_nobody_computed_is_shown_and_told() -> None:
    reading = read('<row><c r="A1"><f>B1+B2</f><v></v></c><c r="B1"><f>1+1</f><v>2</v></c></row>')
    assert (reading.text, [(w.kind, w.count) for w in reading.warnings]) == ("Sheet\n=B1+B2\t2", [("formula", 1)])


@pytest.mark.parametrize(("computed", "words"), [("0", "0"), ("1", "=A1-A1")])
def test_a_zero_is_no_result_where_all_is_still_to_be_computed(computed: str, words: str) -> None:
    reading = read(
        '<row><c r="B1"><f>A1-A1</f><v>0</v></c></row>', workbook=f'<calcPr fullCalcOnLoad="{computed}"/>'
    )
    assert reading.text == f"Sheet\n\t{words}"


def test_hidden_rows_and_columns_are_read_hidden_sheets_left_out_and_both_are_told() -> None:
    rows = '<row hidden="1"><c r="A1"><v>1</v></c></row><row><c r="A2"><v>2</v></c><c r="B2"><v>3</v></c></row>'
    reading = read(rows, before='<cols><col min="2" max="2" hidden="1"/></cols>')
    assert (reading.text, [(w.kind, w.count) for w in reading.warnings]) == (
        "Sheet\n1\n2\t3",
        [("hidden_cell", 2)],
    )
    reading = read(rows, state="veryHidden")
    assert (reading.empty, [(w.kind, w.where) for w in reading.warnings]) == (
        True,
        [("hidden_sheet", ("sheet Sheet",))],
    )


def test_shared_strings_leave_their_reading_aid_out() -> None:
    strings = "<sst><si><r><t>東</t></r><r><t>京</t></r><rPh><t>トウキョウ</t></rPh></si></sst>"
    assert (
        read('<row><c r="A1" t="s"><v>0</v></c><c t="s"><v>9</v></c></row>', sharedStrings1=strings).text
        == "Sheet\n東京"
    )


def test_styles_that_make_no_sense_do_not_matter() -> None:
    cell = '<row><c r="A1" s="{}"><v>5</v></c></row>'
    assert read(cell.format(1), styles1=STYLES.format("\U0010ffff[$&quot;")).text
    assert (
        read(cell.format(10**12), styles1="<styleSheet><cellXfs><xf/></cellXfs></styleSheet>").text == "Sheet\n5"
    )


def test_a_broken_sheet_is_corrupt() -> None:
    with pytest.raises(Unreadable) as caught:
        read("<row><c></row>")
    assert caught.value.kind == "corrupt"
