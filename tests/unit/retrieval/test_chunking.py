"""A document's text in pieces: nothing lost, nothing twice, and parted where the text parts itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.retrieval.chunking import Chunk, chunk


def words(text: str) -> int:
    """A count that hypothesis can vary quickly."""
    return len(text.split())


def characters(text: str) -> int:
    return len(text)


def pieces(text: str, tokens: int) -> list[str]:
    return [text[each.start : each.end] for each in chunk(text, count=words, tokens=tokens)]


@given(st.text(alphabet=st.sampled_from("aB. \n\t#1。!\f語"), max_size=300), st.integers(1, 40))
def test_what_lies_between_chunks_is_white_space_and_none_is_too_large(text: str, tokens: int) -> None:
    at = 0
    for each in chunk(text, count=characters, tokens=tokens):
        assert at <= each.start < each.end <= len(text)
        assert not text[at : each.start].strip()
        assert each.tokens <= tokens
        at = each.end
    assert not text[at:].strip()


def test_paragraphs_stay_whole_where_they_fit() -> None:
    assert pieces("one two three\n\nfour five six\n\nseven", 6) == ["one two three\n\nfour five six", "seven"]


def test_a_long_paragraph_is_parted_between_sentences() -> None:
    assert pieces("First one ends. Second one ends. Third one ends.", 4) == [
        "First one ends.",
        "Second one ends.",
        "Third one ends.",
    ]


def test_an_abbreviation_before_a_small_letter_ends_no_sentence() -> None:
    assert pieces("Parts acc. to list. Then more words", 4) == ["Parts acc. to list.", "Then more words"]


@pytest.mark.parametrize("heading", ["## Law", "ARTICLE II", "12. Governing Law", "GOVERNING LAW", "Section 4"])
def test_a_heading_begins_a_chunk_where_enough_stands_before_it(heading: str) -> None:
    text = f"one two three four five\n\n{heading}\n\nsix seven"
    assert pieces(text, 12) == ["one two three four five", f"{heading}\n\nsix seven"]


def test_a_word_longer_than_a_chunk_is_cut_in_even_lengths() -> None:
    assert chunk("a" * 10, count=characters, tokens=4) == [
        Chunk(start=0, end=4, tokens=4),
        Chunk(start=4, end=8, tokens=4),
        Chunk(start=8, end=10, tokens=4),
    ]


def test_an_empty_text_has_none() -> None:
    assert chunk(" \n\n ", count=words) == []


def test_a_chunk_of_no_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        chunk("text", count=words, tokens=0)
