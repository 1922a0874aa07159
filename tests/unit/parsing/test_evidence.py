from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from docmill.parsing import Grounded
from docmill.parsing.evidence import evidence
from docmill.parsing.grounding import Document
from docmill.reading.values import reading_of


class Item(BaseModel):
    name: Annotated[str, Grounded()]
    amount: Annotated[Decimal, Grounded()] | None = None


class Paper(BaseModel):
    title: str
    day: Annotated[date, Grounded()] | None
    items: list[Item]
    words: list[Annotated[str, Grounded()]] = []


class Plain(BaseModel):
    label: str


TEXT = "Straße of “Tea”\n3rd March 2021\n  Green\n  tea 1.234,50\nCake  7.00"
VALUE = {
    "title": "A title",
    "day": "2021-03-03",
    "items": [{"name": "green TEA", "amount": 1234.5}, {"name": "Cake", "amount": None}],
    "words": ['strasse of "tea"', "cake 7"],
}


def placed(
    value: object, output: type[BaseModel], text: str, passages: list[tuple[int, int]]
) -> dict[str, dict[str, int]] | None:
    """Where what was found stands; and whatever was found is said to be so."""
    found = evidence(value, output, reading_of(text, "text/plain"), passages)
    if found is None:
        return None
    assert all(place["quote"] == text[place["start"] : place["end"]] for place in found.values() if place["found"])
    return {path: {"start": at["start"], "end": at["end"]} for path, at in found.items() if at["found"]}


def shown(found: dict[str, dict[str, int]] | None, text: str = TEXT) -> dict[str, str]:
    assert found is not None
    return {place: text[span["start"] : span["end"]] for place, span in found.items()}


def test_each_grounded_value_has_its_place_whatever_its_rendering() -> None:
    assert shown(placed(VALUE, Paper, TEXT, [(0, len(TEXT))])) == {
        "day": "3rd March 2021",
        "items.0.name": "Green\n  tea",
        "items.0.amount": "1.234,50",
        "items.1.name": "Cake",
        "words.0": "Straße of “Tea”",
        "words.1": "Cake  7",
    }


def test_places_are_offsets_in_the_whole_text_and_only_in_what_was_shown() -> None:
    text = f"Cake {TEXT} {'x' * 50} Cake"
    passages = [(5, 30), (len(text) - 10, len(text))]
    found = placed({"items": [{"name": "Cake"}]}, Paper, text, passages)
    assert found == {"items.0.name": {"start": len(text) - 4, "end": len(text)}}


def test_what_was_made_up_has_no_place_and_bad_shapes_do_no_harm() -> None:
    whole = [(0, len(TEXT))]
    assert placed({"items": [{"name": "Coffee"}, 3, {"amount": "7.00"}]}, Paper, TEXT, whole) == {
        "items.2.amount": {"start": TEXT.index("7.00"), "end": len(TEXT)}
    }
    assert placed([1, 2], Paper, TEXT, whole) == {}
    assert placed({"day": {"value": "7.00"}, "words": [["Cake"]]}, Paper, TEXT, whole) == {}


def test_a_prompt_that_demands_no_place_has_no_evidence() -> None:
    assert placed({"label": "tea"}, Plain, TEXT, [(0, len(TEXT))]) is None


@pytest.mark.parametrize("value", [True, None, "", "!!!", "…"])
def test_nothing_is_found_for_what_is_no_value_of_the_text(value: object) -> None:
    assert Document(TEXT).find(value) is None


@given(
    text=st.text(st.sampled_from("aB ßİﬁ\n-\u0301e’1.,ö\u00a0\u1100\u1161"), max_size=60),
    start=st.integers(0, 59),
    length=st.integers(1, 20),
)
def test_what_is_found_is_held_and_reads_as_the_value_does(text: str, start: int, length: int) -> None:
    value = text[start : start + length]
    document = Document(text)
    span = document.find(value)
    if span is not None:
        assert document.holds(value)
        found = text[slice(*span)]
        assert Document(found).holds(value)


@given(text=st.text(max_size=80), value=st.text(min_size=1, max_size=10))
def test_no_text_breaks_the_search(text: str, value: str) -> None:
    span = Document(text).find(value)
    assert span is None or 0 <= span[0] < span[1] <= len(text)
