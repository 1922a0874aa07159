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


COLOURS = r"{\colortbl;\red0\green0\blue0;\red255\green255\blue255;}"


@pytest.mark.parametrize(
    ("markup", "fate"),
    [
        (r"{\object{\*\objdata 0102}{\result 7-QX-7}}", "seen"),
        (r"{\mmath{\*\moMath{\mr 7-QX-7}}}", "seen"),
        (r"{\shp{\*\shpinst{\shptxt 7-QX-7\par}}{\shprslt{\*\do{\dptxbx{}}}}}", "seen"),
        (r"{\field{\*\fldinst{\field{\*\fldinst A}{\fldrslt b}}}{\fldrslt 7-QX-7}}", "seen"),
        (r"{\*\annotation{\*\atnref 1}7-QX-7}", "seen"),
        (r"{\xe 7-QX-7}", "struck"),
        (r"{\private 7-QX-7}", "struck"),
        (r"{\info{\comment 7-QX-7}}", "struck"),
        (rf"{COLOURS}{{\cf2 7-QX-7}}", "told"),
        (rf"{COLOURS}{{\cf1 7-QX-7}}", "seen"),
        (rf"{COLOURS}{{\cf2\highlight1 7-QX-7}}", "seen"),
        (rf"{COLOURS}\trowd\clcbpat1\cellx1\pard\cf2 7-QX-7\cell\row", "seen"),
        (r"{\fs1 7-QX-7}", "told"),
        (r"{\cf7 7-QX-7}", "seen"),
    ],
)
def test_of_a_word_it_is_known_what_becomes_of_it(markup: str, fate: str) -> None:
    reading = read_body(rf"{{\rtf1\ansi before {markup} after\par}}".encode(), charset=None, limits=DEFAULT_LIMITS)
    assert reading.text.count("7-QX-7") == (fate == "seen")
    assert "before" in reading.text
    assert "after" in reading.text
    assert fate != "told" or reading.warnings
