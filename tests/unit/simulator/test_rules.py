"""The simulator answers by the schema, and says so where its rules find nothing; it invents nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from docmill.llm.wire.schemas import closed
from docmill.parsing import parse
from docmill.simulator.rules import NothingFound, amounts, answer, dates
from prompts.writing import schema_of_example

ORDER = """PURCHASE ORDER
Order no: PO-2041
Date: 14 March 2026
Priority: high
Paid: no

Supplier
Name: Example Paper Works
City: Northport

Item            Qty    Price     Amount
----------------------------------------
Envelopes C5    20     1.50      30.00
A4 paper 80 g   5      4.20      21.00
Total                            51.00

Attendees:
- Ada Marsh
- Bo Lind

Contacts
Contact: Cleo Park
Role: buyer
Contact: Dan Reed
Role: clerk
"""
EXAMPLE = {
    "order_no": "PO-1",
    "date": "2026-01-02",
    "paid": True,
    "supplier": {"name": "X", "city": "Y"},
    "lines": [{"item": "x", "qty": 1, "price": 1.5, "amount": 1.5}],
    "total": 1.5,
    "attendees": ["A"],
    "contacts": [{"contact": "A", "role": "B"}],
}


def schema_of(example: Any, **properties: Any) -> dict[str, Any]:
    schema = schema_of_example(example)
    schema["properties"] |= properties
    made: dict[str, Any] = closed(schema)
    return made


def test_nested_shapes_lists_of_objects_enums_and_tables_are_answered_by_the_schema() -> None:
    schema = schema_of(EXAMPLE, priority={"enum": ["low", "high"]})
    schema["properties"]["rating"] = {"anyOf": [{"enum": [1, 2]}, {"type": "null"}]}
    found = answer(ORDER, schema)
    assert found == {
        "order_no": "PO-2041",
        "date": "2026-03-14",
        "paid": False,
        "supplier": {"name": "Example Paper Works", "city": "Northport"},
        "lines": [
            {"item": "Envelopes C5", "qty": 20, "price": 1.5, "amount": 30},
            {"item": "A4 paper 80 g", "qty": 5, "price": 4.2, "amount": 21},
        ],
        "total": 51.0,
        "attendees": ["Ada Marsh", "Bo Lind"],
        "contacts": [{"contact": "Cleo Park", "role": "buyer"}, {"contact": "Dan Reed", "role": "clerk"}],
        "priority": "high",
        "rating": None,
    }
    parse(str(found).replace("'", '"').replace("None", "null").replace("False", "false"), schema)


@pytest.mark.parametrize(
    ("properties", "missed"),
    [
        ({"mood": {"enum": ["calm", "furious"]}}, ["mood"]),
        ({"colour": {"type": "string"}}, ["colour"]),
        ({"weight": {"type": "number"}}, ["weight"]),
        ({"insured": {"type": "boolean"}}, ["insured"]),
        ({"guests": {"type": "array", "items": {"type": "string"}}}, ["guests"]),
        ({"shipper": {"type": "object", "properties": {"colour": {"type": "string"}}}}, ["shipper.colour"]),
        ({"colour": {"type": "string"}, "weight": {"type": "number"}}, ["colour", "weight"]),
        ({"order_no": {"type": "string", "pattern": "^X"}}, ["order_no"]),
    ],
)
def test_where_no_rule_finds_what_is_demanded_it_says_so(properties: dict[str, Any], missed: list[str]) -> None:
    schema = closed({"type": "object", "properties": properties})
    with pytest.raises(NothingFound, match="find no value for") as nothing:
        answer(ORDER, schema)
    assert list(nothing.value.places) == missed
    nullable = {name: {"anyOf": [part, {"type": "null"}]} for name, part in properties.items()}
    assert answer(ORDER, closed({"type": "object", "properties": nullable})) == dict.fromkeys(properties)


@pytest.mark.parametrize(
    ("line", "name", "total"),
    [
        ("Hull inspection 1 480.00 480.00", "Hull inspection", 480.0),
        ("Hull inspection    1   480.00   480.00", "Hull inspection", 480.0),
        ("A4 paper 80 g 5 4.20 21.00 EUR", "A4 paper 80 g", 21.0),
        ("Scones x2                   6.50", "Scones x2", 6.5),
        ("Green tea $4.20", "Green tea", 4.2),
        ("Room 12    100.00", "Room 12", 100.0),
        ("Envelopes, 500 2 36.50 73.00", "Envelopes, 500", 73.0),
    ],
)
def test_a_line_is_called_by_its_words_and_not_by_its_figures(line: str, name: str, total: float) -> None:
    [found] = amounts.lines(line)
    assert (found["name"], found["line_total"]) == (name, total)


@pytest.mark.parametrize(
    ("receipt", "total"),
    [
        ("TEA 28.70\nSUBTOTAL 28.70\nRM CASH 100.00\nCHANGE 71.30\n", 28.70),
        ("SALES 45.34\nRounding RM .01\nRounded RM 45.35\nCREDIT RM 45.35\nCHANGE RM .00\n", 45.35),
        ("Qty 8 25.15\nPay 25.15\nChange 0.00\n(Total Included GST @ 6% 1.42)\n", 25.15),
        ("TEA 9.00\nTOTAL 9.00\nCASH 10.00\nCHANGE 2.00\n", 9.00),  # misread: 8.00 stands nowhere
        ("SUB-TOTAL 6.60\nTAX TOTAL: 0.40\n", 6.60),
    ],
)
def test_what_was_paid_is_what_was_given_less_the_change_where_it_stands_there(receipt: str, total: float) -> None:
    assert amounts.named("total", receipt) == total


def test_a_date_has_one_mark_between_its_numbers() -> None:
    assert dates.named("date", "ORD 69 -REG 1- 25/05/2018 18:12") == "2018-05-25"


def test_a_schema_that_refers_to_itself_ends() -> None:
    part = {"type": "object", "properties": {"name": {"type": "string"}, "below": {"$ref": "#/$defs/part"}}}
    with pytest.raises(NothingFound):
        answer("Name: x", {**part, "$defs": {"part": part}})


@pytest.mark.parametrize(
    "hostile", ["a" * 200_000, "- " * 100_000, "x  y  " * 50_000, "Name: " * 50_000, "\n" * 200_000]
)
def test_a_hostile_document_takes_no_long_time(hostile: str) -> None:
    began = time.process_time()
    with pytest.raises(NothingFound):
        answer(hostile, schema_of({**EXAMPLE, "zzz": "x"}))
    assert time.process_time() - began < 20
