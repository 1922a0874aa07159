"""Nothing in a line of ours does anything but stand there."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("txt.\u202egpj", r"txt.\u202egpj"),
        ("a\u2028b", r"a\u2028b"),
        ("\udc80", r"\udc80"),
        ("Grüße, 日本語 👩\u200d🚀 [red]", "Grüße, 日本語 👩\u200d🚀 [red]"),
    ],
)
def test_what_acts_is_shown_as_its_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(st.characters(codec=None, categories=None)))
def test_a_line_stays_one_line_and_can_be_written(text: str) -> None:
    found = visible(text)
    assert len(found.splitlines()) <= 1
    assert found.encode() is not None
    assert not [each for each in found if unicodedata.category(each) in ("Cc", "Cs")]
    assert visible(found) == found
