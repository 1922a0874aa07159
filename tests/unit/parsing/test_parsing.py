"""From replies to values."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, model_validator

from docmill.errors import ReplyInvalid, ReplyNotJson, ReplyRejected, ReplyTruncated, ReplyWrong
from docmill.parsing import Grounded, accept, correction_problems, parse
from docmill.parsing.grounding import Document
from docmill.parsing.omissions import PLACEHOLDER

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00…"), max_size=20).filter(
    lambda text: "..." not in text and not PLACEHOLDER.fullmatch(text)  # by itself it stands for what was left out
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
OBJECTS = st.dictionaries(
    TEXT,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


class Receipt(BaseModel):
    company: Annotated[str, Grounded()]
    date: Annotated[date, Grounded()]
    net: Decimal
    total: Annotated[Decimal, Grounded()]

    @model_validator(mode="after")
    def net_is_below_total(self) -> Receipt:
        if self.net > self.total:
            raise ValueError("net is above total")
        return self


DOCUMENT = "ACME  Stores\n3 March 2024\nTOTAL  1.234,50"
GOOD = {"company": "Acme Stores", "date": "2024-03-03", "net": 1000, "total": 1234.5}


@given(OBJECTS)
def test_any_object_comes_back_plain_and_fenced(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert parse(text) == value
    assert parse(f"Here it is:\n```json\n{text}\n```\nDone.") == value


@given(OBJECTS, st.data())
def test_no_part_of_an_object_is_taken_for_the_whole(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text) - 1))
    with pytest.raises(ReplyRejected):
        parse(text[:cut])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1,}', {"a": 1}),
        ("{'a': True, 'b': None}", {"a": True, "b": None}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('Sure! {"a": "literal } and ]"} Anything else?', {"a": "literal } and ]"}),
        ('{"a": 1 // the first\n}', {"a": 1}),
    ],
)
def test_slips_that_leave_no_doubt_are_mended(text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", ReplyNotJson),
        ("I cannot help with that.", ReplyNotJson),
        ("[" * 100_000, ReplyNotJson),
        ("x" * 2_000_001, ReplyNotJson),
        ('{"total": 12', ReplyTruncated),
        ('```json\n{"total": 12.', ReplyTruncated),
        ('{"total": Infinity}', ReplyNotJson),
    ],
)
def test_what_is_no_answer_is_rejected(text: str, error: type[ReplyRejected]) -> None:
    with pytest.raises(error):
        parse(text)


def test_what_no_database_stores_is_no_answer() -> None:
    with pytest.raises(ReplyInvalid, match="no database stores"):
        accept(json.dumps({**GOOD, "company": "Acme\0"}), Receipt, document=DOCUMENT)


NUMBERS = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
LABELS = {"enum": ["invoice", "contract"]}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ('{"n": "1,200"}', NUMBERS, {"n": 1200}),
        ('{"answer": {"n": 3}}', NUMBERS, {"n": 3}),
        ('{"n": 3}', {"type": "array", "items": NUMBERS}, [{"n": 3}]),
        ('{"n": 1} and {"n": 2}', {"type": "array", "items": NUMBERS}, [{"n": 1}, {"n": 2}]),
        ("The answer is **Invoice**.", LABELS, "invoice"),
        ('{"a": [1, 2}', None, {"a": [1, 2]}),
        ('{"a": 1]', None, {"a": 1}),
        ('{"size": "5\'3" tall"}', None, {"size": "5'3\" tall"}),
        ("((1, 2), (3, 4))", None, [[1, 2], [3, 4]]),
        ('[{"a": 1}\n{"a": 2}]', None, [{"a": 1}, {"a": 2}]),
        ('{"code": """print("x")"""}', None, {"code": 'print("x")'}),
        ("{'a': 'x' +\n 'y'}", None, {"a": "xy"}),
    ],
)
def test_one_slip_that_leaves_no_doubt_is_put_right(
    text: str, schema: dict[str, Any] | None, value: object
) -> None:
    assert parse(text, schema) == value


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("It is an invoice or a contract.", LABELS),
        ("This is not a contract.", LABELS),
        ('{"n": "about 3"}', NUMBERS),
        ('{"a": 1, "b": [}', None),
        ('{"a":\n"b": "c"}', None),
    ],
)
def test_what_leaves_a_doubt_is_rejected(text: str, schema: dict[str, Any] | None) -> None:
    with pytest.raises(ReplyRejected):
        parse(text, schema)


@pytest.mark.parametrize("reason", ["length", "max_tokens", "MAX_TOKENS"])
def test_a_reply_at_its_limit_is_cut_off_however_whole_it_looks(reason: str) -> None:
    with pytest.raises(ReplyTruncated):
        parse('{"a": 1}', finish_reason=reason)


def test_a_schema_names_field_and_rule() -> None:
    schema = {
        "type": "object",
        "properties": {"lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
        "required": ["lines", "total"],
        "$defs": {"line": {"type": "object", "properties": {"price": {"type": "number", "minimum": 0}}}},
    }
    with pytest.raises(ReplyInvalid) as caught:
        parse('{"lines": [{"price": -1}]}', schema)
    assert set(correction_problems(caught.value)) == {"total: is missing", "lines.0.price: must be at least 0"}


def test_an_answer_that_is_in_the_document_is_accepted() -> None:
    found = accept(json.dumps(GOOD), Receipt, document=DOCUMENT)
    assert found["date"] == "2024-03-03"
    assert found["company"] == "Acme Stores"


@pytest.mark.parametrize(
    ("change", "place"),
    [({"company": "Other"}, "company"), ({"total": 1234.6}, "total"), ({"date": "2024-04-03"}, "date")],
)
def test_an_answer_that_is_not_in_the_document_is_wrong(change: dict[str, object], place: str) -> None:
    with pytest.raises(ReplyWrong) as caught:
        accept(json.dumps({**GOOD, **change}), Receipt, document=DOCUMENT)
    assert [where for where, _ in caught.value.problems] == [place]
    assert caught.value.value == {**GOOD, **change}


def test_a_failed_check_is_wrong_and_a_missing_field_invalid() -> None:
    with pytest.raises(ReplyWrong, match="net is above total"):
        accept(json.dumps({**GOOD, "net": 2000}), Receipt, document=DOCUMENT)
    with pytest.raises(ReplyInvalid, match="company: Field required") as caught:
        accept('{"date": "2024-03-03", "net": 1, "total": 1234.5}', Receipt, document=DOCUMENT)
    assert not isinstance(caught.value, ReplyWrong)


@pytest.mark.parametrize(
    ("written", "value", "holds"),
    [
        ("1 234,50", "1234.5", True),
        ("1'234.50", "1234.5", True),
        ("1,234", "1234", True),
        ("10.00 11.90", "11.90", True),
        ("10.00 11.90", "10.00", True),
        ("10.00 11.90", "1000.11", False),
        ("12.34", "34", False),
    ],
)
def test_an_amount_is_found_in_its_usual_renderings(written: str, value: str, holds: bool) -> None:
    assert Document(written).holds(Decimal(value)) is holds


@pytest.mark.parametrize(
    "written", ["3 March 2024", "March 3rd, 2024", "03.03.24", "2024-03-03", "20240303", "3-Mar-24"]
)
def test_a_date_is_found_in_its_usual_renderings(written: str) -> None:
    assert Document(f"on {written}.").holds(date(2024, 3, 3))
    assert not Document(f"on {written}.").holds(date(2024, 3, 4))
