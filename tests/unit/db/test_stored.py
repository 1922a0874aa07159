"""JSON out of the database: as it is, unless it is deeper or longer than anybody can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.stored import TOO_DEEP, loads
from docmill.storable import MOST_DEPTH

VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text('[]{}"\\,:aü'),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text('[]{}"\\'), inner)),
    max_leaves=200,
)


@given(VALUES, st.booleans())
def test_what_is_within_bounds_is_read_as_it_is(value: Any, plain: bool) -> None:
    written = json.dumps(value, ensure_ascii=plain)
    assert loads(written) == loads(written.encode()) == value


@given(VALUES, st.integers(0, MOST_DEPTH), st.integers(1, 3000))
def test_what_is_deeper_is_cut_there_and_what_is_beside_it_stays(value: Any, before: int, more: int) -> None:
    """The deepest level that is shown holds the sentence; a sibling before and behind it is as it was."""
    deep = "[" * (MOST_DEPTH + more) + "]" * (MOST_DEPTH + more)
    found = loads(f'{{"a": {json.dumps(value)}, "b": {deep}, "c": {json.dumps(value)}}}')
    assert (found["a"], found["c"]) == (value, value)
    inner, depth = found["b"], 1
    while inner != TOO_DEEP:
        (inner,) = inner
        depth += 1
    assert depth == MOST_DEPTH


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "9" * 6000, "9" * 400 + ".5"])
def test_a_number_that_nobody_can_hold_is_a_text(digits: str) -> None:
    assert loads(f'{{"a": [{digits}, 1]}}') == {"a": [digits, 1]}
    assert json.dumps(loads(f"[{digits}]"), allow_nan=False)


def test_it_takes_time_by_length_alone() -> None:
    """A backslash before every quote, brackets that never close within texts: each is looked at once."""
    for part in ('"\\\\\\""', "[", '"["', "9" * 299 + " "):
        loads("[" + ",".join([json.dumps(part * 50)] * 2000) + "]")
