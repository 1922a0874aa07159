"""What came from outside can be stored, or is unknown; what was there can still be seen."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.errors import ReplyRejected
from docmill.parsing import parse
from docmill.storable import (
    MOST_DEPTH,
    MOST_USD,
    deeper_than,
    dump_json,
    is_storable,
    is_storable_json,
    storable_count,
    storable_text,
    storable_usd,
)

WORDS = st.text(st.one_of(st.characters(), st.sampled_from('\0\ud800\udfff\\"u{}[],:')))
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**400, 2**63, 1e308]))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), WORDS, NUMBERS),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(WORDS, inner)),
)


@given(WORDS, st.integers(min_value=0, max_value=20))
def test_any_text_can_be_stored(text: str, most: int) -> None:
    kept = storable_text(text)
    assert is_storable(kept)
    kept.encode()
    assert storable_text(kept) == kept
    assert len(storable_text(text, most)) <= most
    if is_storable(text):
        assert kept == text


@given(VALUES)
def test_any_json_can_be_stored(value: object) -> None:
    written = dump_json(value)
    written.encode()
    again = json.loads(written)
    assert is_storable_json(again)
    assert not deeper_than(again, MOST_DEPTH)


def test_a_number_too_long_to_be_written_is_null() -> None:
    assert (
        dump_json({"huge": 10**5000, "nan": float("nan"), "total": 1}) == '{"huge": null, "nan": null, "total": 1}'
    )


@given(st.recursive(st.one_of(st.none(), st.booleans(), st.text(), st.integers()), st.lists))
def test_what_can_be_stored_stays_as_it_is(value: object) -> None:
    if is_storable_json(value):
        assert json.loads(dump_json(value)) == value


@pytest.mark.parametrize(("levels", "kept"), [(MOST_DEPTH, True), (MOST_DEPTH + 1, False), (100_000, False)])
def test_what_nobody_could_read_again_is_cut_off(levels: int, *, kept: bool) -> None:
    value: object = "deep"
    for _ in range(levels):
        value = [value]
    assert deeper_than(value, MOST_DEPTH) is not kept
    assert ("deep" in dump_json({"beside": 1, "v": value} if levels < MOST_DEPTH else value)) is kept
    while isinstance(value, list):  # or the interpreter runs out of stack as it forgets it
        value = value.pop()


@given(st.lists(st.sampled_from(["a", "\0", "\ud800", "\\", "\\\\", "é"]), min_size=1).map("".join))
@settings(max_examples=300)
def test_a_reply_with_a_character_that_cannot_be_stored_is_not_read_as_another(words: str) -> None:
    """What stands for the character in the text that is kept is read as the character, and refused as that."""
    if is_storable(words):
        return
    try:
        found = parse(storable_text(f'{{"name": "{words}"}}'), None)
    except ReplyRejected:
        return
    assert not is_storable_json(found)


@pytest.mark.parametrize("value", [-1, 2**31, 10**400, 1.5, True, "1", None, float("nan")])
def test_no_count_is_unknown(value: object) -> None:
    assert storable_count(value) is None


def test_a_count_is_kept() -> None:
    assert [storable_count(value) for value in (0, 7, 2**31 - 1)] == [0, 7, 2**31 - 1]


@pytest.mark.parametrize("value", ["-0.1", "NaN", "sNaN", "Infinity", "1e400", "100000.1"])
def test_no_amount_is_unknown(value: str) -> None:
    assert storable_usd(Decimal(value)) is None


def test_an_amount_is_kept() -> None:
    assert storable_usd(Decimal("0.00000000004")) == 0
    assert storable_usd(Decimal("1e-400")) == 0
    assert storable_usd(MOST_USD) == MOST_USD
    assert storable_usd(Decimal("0.0000123456")) == Decimal("0.0000123456")
