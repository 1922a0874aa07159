"""Which pages are shown as pictures, and how large they are drawn."""

from __future__ import annotations

import pytest

from docmill.reading.layout.geometry import BLANK, By, PageLayout, pack_page
from docmill.reading.values import reading_of
from tasks.stages.seeing import dots_an_inch, pages_of, to_be_seen


def layout(height: float, by: By = "text") -> PageLayout:
    """A page of A4 with twenty words of that height, in points."""
    words = [(at, at + 1, (10.0, 30.0 * at, 50.0, 30.0 * at + height)) for at in range(20)]
    return pack_page(words, width=595, height=842, by=by)


def test_a_page_is_drawn_for_its_smallest_words_and_within_bounds() -> None:
    assert dots_an_inch(layout(10)) == pytest.approx(130, abs=3)
    assert dots_an_inch(layout(5)) == pytest.approx(260, abs=6)
    assert dots_an_inch(layout(30)) == 100
    assert dots_an_inch(layout(1)) == 300
    assert dots_an_inch(layout(9.6, "ocr")) == pytest.approx(180, abs=4)
    assert dots_an_inch(BLANK) == 150
    assert dots_an_inch(PageLayout(width=1, height=1, packed=b"damaged")) == 150


def test_auto_sees_what_has_no_text_of_its_own() -> None:
    reading = reading_of(
        "one\n\n\n\nthree",
        "application/pdf",
        pages=(0, 5, 7),
        layout=[layout(10), BLANK, layout(10, "ocr")],
    )
    pages = pages_of(reading)
    assert [page.number for page in to_be_seen("auto", pages)] == [2, 3]
    assert [page.number for page in to_be_seen("both", pages)] == [1, 2, 3]
    assert to_be_seen("text", pages) == []
    assert [page.is_read for page in pages] == [True, False, True]
