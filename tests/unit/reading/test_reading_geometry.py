"""Where words stand is kept in few bytes, and what stands there was said by nobody else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.reading.layout.geometry import BLANK, Box, check_page, pack, pack_page, unpack
from docmill.reading.layout.places import Geometry

Words = list[tuple[int, int, Box]]


@st.composite
def pages(draw: st.DrawFn) -> tuple[Words, float, float]:
    """The words of a page of any size, wherever they stand, also beyond its edges."""
    width, height = draw(st.floats(0.1, 14_400)), draw(st.floats(0.1, 14_400))
    words, at = [], 0
    for _ in range(draw(st.integers(0, 20))):
        start = at + draw(st.integers(0, 70_000))
        at = start + draw(st.integers(1, 70_000))
        x0, x1 = sorted(draw(st.floats(-0.5, 1.5)) * width for _ in range(2))
        y0, y1 = sorted(draw(st.floats(-0.5, 1.5)) * height for _ in range(2))
        words.append((start, at, (x0, y0, x1, y1)))
    return words, width, height


@settings(max_examples=60)
@given(pages())
def test_what_is_packed_comes_back_as_shares_of_the_page(page: tuple[Words, float, float]) -> None:
    words, width, height = page
    (kept,) = unpack(pack([pack_page(words, width=width, height=height, turns=5, by="ocr")]))
    assert (kept.turns, kept.by) == (1, "ocr")
    assert kept.width == pytest.approx(width, rel=1e-6)
    check_page(kept, words[-1][1] if words else 0)
    for (start, end, box), found in zip(words, kept.words(), strict=True):
        assert (found.start, found.end) == (start, end)
        for edge, share, size in zip(box, found[2:], (width, height) * 2, strict=True):
            assert share == pytest.approx(min(1, max(0, edge / size)), abs=2e-4)


def test_an_ordinary_page_takes_two_kilobytes_at_most() -> None:
    chance = random.Random(7)
    words: Words = []
    at = 0
    for line in range(45):
        x = 60.0
        while x < 530:
            length = chance.randrange(2, 11)
            words.append((at, at + length, (x, 50 + line * 15.0, x + length * 5.3, 62 + line * 15.0)))
            at, x = at + length + 1, x + length * 5.3 + 3 + chance.random()
    assert len(words) > 450
    assert len(pack_page(words, width=595, height=842).packed) < 2500


@given(st.binary(max_size=80), st.integers(0, 60))
def test_bytes_that_are_no_layout_are_refused(noise: bytes, cut: int) -> None:
    good = pack([BLANK, pack_page([(0, 3, (1, 1, 2, 2))], width=10, height=10)])
    for kept in (noise, b"\x01" + noise, good[:cut], good[:cut] + noise + good[cut:]):
        try:
            for page in unpack(kept):
                page.words()
        except ValueError:
            continue


def test_words_beyond_their_pages_text_are_none() -> None:
    page = pack_page([(0, 3, (1, 1, 2, 2)), (5, 9, (1, 1, 2, 2))], width=10, height=10)
    check_page(page, 9)
    with pytest.raises(ValueError, match="a word stands"):
        check_page(page, 8)


def two_pages() -> Geometry:
    """``one two`` and below it ``three`` on the first page; on the third ``four``; the second is empty."""
    first = [(0, 3, (10, 10, 40, 20)), (4, 7, (45, 10, 75, 20)), (8, 13, (10, 30, 60, 40))]
    last = [(0, 4, (20, 50, 60, 60))]
    layout = [
        pack_page(first, width=100, height=100),
        BLANK,
        pack_page(last, width=100, height=200, by="ocr"),
    ]
    return Geometry((0, 15, 15), layout)


def near(box: Box) -> object:
    return pytest.approx(box, abs=2e-4)


def test_a_span_has_a_rectangle_for_each_line_that_it_stands_on() -> None:
    found = two_pages()
    assert found.boxes(0, 13) == [near((0.1, 0.1, 0.75, 0.2)), near((0.1, 0.3, 0.6, 0.4))]
    assert (found.page_of(13), found.page_of(15), found.by(3)) == (1, 3, "ocr")
    assert found.boxes(15, 19) == [near((0.2, 0.25, 0.6, 0.3))]


def test_a_part_of_a_word_has_its_part_of_the_box() -> None:
    assert two_pages().boxes(9, 11) == [near((0.2, 0.3, 0.4, 0.4))]


def test_a_text_without_pages_has_no_rectangles() -> None:
    assert (Geometry((), ()).boxes(0, 5), Geometry((), ()).page_of(3)) == ([], None)
    assert Geometry((0, 4), ()).boxes(0, 5) == []
