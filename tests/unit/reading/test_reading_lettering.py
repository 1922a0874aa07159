"""A line of OCR's: its words are those of its text, each in its box, whatever parts the engine saw."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.reading.ocr.lettering import Part, words_of

LETTER, HEIGHT = 10.0, 20.0


def parts(*texts: str, gap: float = 0.2) -> list[Part]:
    """Parts from left to right, with a gap of that share of the line's height between them."""
    found, x = [], 0.0
    for text in texts:
        found.append(Part(text, (x, 0, x + LETTER * len(text), HEIGHT)))
        x += LETTER * len(text) + gap * HEIGHT
    return found


@pytest.mark.parametrize(
    ("text", "seen", "gap", "words"),
    [
        ("PROFESSIONAL SUMMARY", ("PR", "OFESSIONAL", "SUM", "M", "ARY"), 0.4, ["PROFESSIONAL", "SUMMARY"]),
        ("Jennifer Walsh", ("Jennifer", "W", "alsh"), 0.4, ["Jennifer", "Walsh"]),
        ("186.00 A", ("1", "86.00", "A"), 1.1, ["186.00", "A"]),
        ("ROUDING", ("ROU", "DING"), 0.9, ["ROUDING"]),
        ("GINKEE", ("GIN", "KEE"), 0.4, ["GIN", "KEE"]),
        ("GINKEE", ("GIN", "KEE"), 0.2, ["GINKEE"]),
        ("ID000241", ("ID", "000241"), 0.6, ["ID", "000241"]),
        ("A4 paper", ("A", "4", "paper"), 0.6, ["A4", "paper"]),
        ("one two", ("other", "words"), 0.4, ["other", "words"]),
        ("", (), 0.4, []),
    ],
)
def test_the_text_says_where_words_end_and_a_gap_between_two_words_counts(
    text: str, seen: tuple[str, ...], gap: float, words: list[str]
) -> None:
    assert [word for word, _ in words_of(text, parts(*seen, gap=gap))] == words


@given(st.lists(st.text("abz19", min_size=1, max_size=6), min_size=1, max_size=6), st.booleans(), st.data())
def test_letters_stay_in_their_order_and_their_boxes(
    words: list[str], runs_down: bool, data: st.DataObject
) -> None:
    letters = "".join(words)
    cuts = sorted({0, len(letters), *data.draw(st.lists(st.integers(0, len(letters)), max_size=5))})
    seen = parts(*(letters[start:end] for start, end in pairwise(cuts)), gap=0)
    if runs_down:
        seen = [Part(part.text, (part.box[1], part.box[0], part.box[3], part.box[2])) for part in seen]
    found = list(words_of(" ".join(words), seen, runs_down=runs_down))
    assert [word for word, _ in found] == words
    along = 1 if runs_down else 0
    edges = [edge for _, box in found for edge in (box[along], box[along + 2])]
    assert edges == sorted(edges)
    assert edges[-1] == pytest.approx(LETTER * len(letters))
