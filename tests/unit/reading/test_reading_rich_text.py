"""Rich text: what a person sees on paper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import Unreadable
from docmill.reading.rtf import read_body
from docmill.reading.values import DEFAULT_LIMITS, Reading


def read(inner: str) -> Reading:
    return read_body(
        rb"{\rtf1\ansi\ansicpg1252 " + inner.encode("latin-1") + b"}", charset=None, limits=DEFAULT_LIMITS
    )


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (r"Total {\deleted 400.00}{\revised 310.40}", "Total 310.40"),
        (r"Total {\v 400.00}310.40", "Total 310.40"),
        (r"{\header Nordlys}{\footer CVR 31415926}Body\par", "Nordlys\nBody\nCVR 31415926"),
        (r"{\*\unknown secret}a{\fonttbl{\f0 Arial;}}b{\colortbl;\red0;}", "ab"),
        (r"net{\footnote without VAT} price", "net price\nwithout VAT"),
        (r"\trowd Chair\cell\cell 310.40\cell\row Desk\cell", "Chair\t\t310.40\t\nDesk\t"),
        (r"310.40 \u8364? and \u-10179?\u-8704? end", "310.40 € and 😀 end"),
        (r"\uc2\u8364 XXend", "€end"),
        (r"M\'e4rz", "März"),
        (r"{\fonttbl{\f0\fcharset0 A;}{\f1\fcharset204 B;}}\f1 \'cf\'f0", "Пр"),
        (r"{\field{\*\fldinst DATE}{\fldrslt 2 March}}", "2 March"),
        (r"{\pict\pngblip\bin4 }{}{x}after", "after"),
        (r"a\~b\_c\{d\}\\", "a\xa0b-c{d}\\"),
        (r"{\*\shppict{\pict 0102}}{\shp{\*\shpinst{\shptxt in a box}}}", "in a box"),
    ],
)
def test_words_on_paper(inner: str, text: str) -> None:
    assert read(inner).text.strip() == text.strip()


def test_hidden_words_are_told() -> None:
    assert [(warning.kind, warning.count) for warning in read(r"{\v secret} {\deleted old}").warnings] == [
        ("hidden", 2)
    ]


@given(st.text(r"{}\\'*u1 ab~\n", max_size=200))
def test_no_bytes_raise(inner: str) -> None:
    read(inner)


def test_groups_without_end_are_too_large() -> None:
    with pytest.raises(Unreadable) as caught:
        read("{" * 5000)
    assert caught.value.kind == "too_large"
