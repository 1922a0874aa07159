"""Pages that show words which their text does not have: told apart from others, and read without saying a word twice."""

from __future__ import annotations

import pytest

from docmill.reading.layout.composing import compose_page
from docmill.reading.layout.geometry import pack_page
from docmill.reading.layout.words import Word
from docmill.reading.pdf import read_body
from docmill.reading.values import DEFAULT_LIMITS, Reading, Scan, reading_of, with_scans
from tests.packages import PdfFile

LETTER = "{0} 100 m {0} 110 l " + "{0} 105 4 3 2 {0} 104 c " * 8 + "f "
OUTLINED = "".join(LETTER.format(50 + 9 * at) for at in range(40))
FRAMES = "".join(f"{50 + at} 100 40 20 re f {50 + at} 300 m 500 300 l S " for at in range(400))


def shown(words: int) -> str:
    return "".join(
        f"BT /F1 9 Tf {40 + 60 * (at % 8)} {700 - 14 * (at // 8)} Td (word{at}) Tj ET " for at in range(words)
    )


def read(content: str) -> Reading:
    file = PdfFile()
    file.add_page(content)
    return read_body(file.bytes(), charset=None, limits=DEFAULT_LIMITS)


@pytest.mark.parametrize(
    ("content", "scans"),
    [
        (OUTLINED, (0,)),
        (OUTLINED + shown(5), (0,)),
        (OUTLINED + shown(100), ()),
        (FRAMES, ()),
        (FRAMES + shown(5), ()),
        (shown(5), ()),
        ("", ()),
    ],
    ids=["outlines", "outlines and a title", "outlines beside a text", "frames", "a form", "a title", "blank"],
)
def test_letters_that_are_drawn_as_shapes_are_left_to_ocr(content: str, scans: tuple[int, ...]) -> None:
    assert read(content).scans == scans


def test_a_page_drawn_as_shapes_alone_is_not_passed_over_in_silence() -> None:
    assert [(warning.kind, warning.where) for warning in read(OUTLINED).warnings] == [("ocr_off", ("page 1",))]


def words(*texts: tuple[str, float, float]) -> list[Word]:
    return [Word(text, x, y, x + 6 * len(text), y + 10, at) for at, (text, x, y) in enumerate(texts)]


def test_what_ocr_finds_beside_a_pages_own_words_is_read_and_no_word_twice() -> None:
    own = compose_page(words(("BATES", 400, 20), ("000123", 433, 20)))
    layout = pack_page(own.places(), width=600, height=800)
    scanned = compose_page(
        words(("Total", 50, 100), ("12.50", 85, 100), ("8ATES", 401, 21), ("000123", 434, 21), ("Thanks", 50, 200))
    )
    scan = Scan(text=scanned.text, layout=pack_page(scanned.places(), width=600, height=800))
    text = f"{own.text}\n\nnext"
    reading = reading_of(
        text, "application/pdf", pages=(0, len(own.text) + 2), scans=(0,), layout=[layout, layout]
    )
    found = with_scans(reading, {0: scan})
    assert found.text == "Total 12.50\n\nThanks\n\nBATES 000123\n\nnext"
    assert found.pages == (0, found.text.index("next"))
    assert found.layout[0].by == "ocr"
    placed = {found.text[word.start : word.end]: round(word.x0 * 600) for word in found.layout[0].words()}
    assert placed == {"Total": 50, "12.50": 85, "Thanks": 50, "BATES": 400, "000123": 433}


def test_a_scan_in_which_ocr_finds_nothing_more_keeps_its_own_words() -> None:
    own = compose_page(words(("BATES", 400, 20)))
    layout = pack_page(own.places(), width=600, height=800)
    reading = reading_of(own.text, "application/pdf", pages=(0,), scans=(0,), layout=[layout])
    found = with_scans(reading, {0: Scan(text="")})
    assert (found.text, len(found.layout[0].words())) == ("BATES", 1)
    assert [warning.kind for warning in found.warnings] == ["ocr_empty"]
