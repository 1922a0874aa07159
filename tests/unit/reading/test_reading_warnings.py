"""What a reading leaves out or guesses: as data, and as a sentence."""

from __future__ import annotations

from docmill.reading.values import MOST_PLACES, WORDS, reading_of, warned


def test_a_reading_without_warnings_says_nothing() -> None:
    reading = reading_of("text", "text/plain")
    assert reading.warnings == ()
    assert reading.warning is None


def test_each_warning_is_told_with_its_places() -> None:
    warnings = [warned("page_broken", ["page 2", "page 7"]), warned("encoding_guessed", ["cp1252"])]
    assert reading_of("text", "application/pdf", warnings=warnings).warning == (
        "broken, and left out: page 2, page 7; the character encoding is not declared, and was guessed: cp1252"
    )


def test_every_kind_has_words_of_its_own() -> None:
    assert len(set(WORDS.values())) == len(WORDS)


def test_a_thousand_places_are_counted_and_some_are_named() -> None:
    warning = warned("page_broken", (f"page {number}" for number in range(1, 1001)))
    assert (warning.count, len(warning.where)) == (1000, MOST_PLACES)
    assert str(warning).endswith(
        "(1,000 times): page 1, page 2, page 3, page 4, page 5, page 6, page 7, page 8, page 9, page 10, …"
    )


def test_what_happens_more_often_than_there_are_places_is_counted() -> None:
    assert str(warned("ocr_empty", ["page 3"], count=4)) == (
        "a picture in which OCR finds no text (4 times): page 3"
    )
