"""A document longer than its room: what is asked for is shown, in order, and what is left out is known."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docmill.llm.tokens import Counter
from docmill.retrieval.fitting import Spans, fitting, left_out
from docmill.retrieval.offline import embed_offline

PUBLIC = Counter(encoding="o200k_base")
HIDDEN = Counter(encoding=None, ratio=1.3)

CLAUSES = [
    "This supply agreement is made between North Mill Ltd and Quay Foods Inc.",
    *(
        f"Item {number}. Goods of kind {number} are delivered to warehouse {number} by lorry."
        for number in range(80)
    ),
    "This agreement is governed by the laws of Norway.",
    *(
        f"Schedule {number}. Pallets of size {number} are stacked {number} high in the hall."
        for number in range(80)
    ),
    "If a party is bought by a competitor, the other one may end the agreement with a month's notice.",
    *(
        f"Annex {number}. Drawing {number} shows gate {number} of the yard, seen from above."
        for number in range(80)
    ),
    "Signed at Bergen by both parties.",
]
AGREEMENT = "\n\n".join(CLAUSES)


def shown(text: str, spans: Spans) -> str:
    return "\n[...]\n".join(text[start:end] for start, end in spans)


def fit(asked: list[str], tokens: int) -> str:
    return shown(AGREEMENT, fitting(AGREEMENT, asked, tokens=tokens, counter=PUBLIC, embed=embed_offline))


@pytest.mark.parametrize(
    ("question", "clause"),
    [
        ("Which law governs the agreement?", "the laws of Norway"),
        ("What may a party do if a rival buys the other?", "bought by a competitor"),
    ],
)
def test_the_passage_that_answers_is_shown_with_beginning_and_end(question: str, clause: str) -> None:
    excerpt = fit([question], 400)
    assert clause in excerpt
    assert excerpt.startswith(CLAUSES[0])
    assert excerpt.endswith(CLAUSES[-1])
    assert clause not in fit(["pallets"], 400)


def test_each_question_has_its_best_passage_before_any_has_its_second() -> None:
    excerpt = fit(["governing law", "end after a purchase by a competitor", "pallets of size 17"], 500)
    assert "Norway" in excerpt
    assert "competitor" in excerpt
    assert "Pallets of size 17" in excerpt


def test_without_a_question_the_beginning_and_the_end_are_shown() -> None:
    assert len(fitting(AGREEMENT, [], tokens=300, counter=PUBLIC, embed=embed_offline)) == 2


def embed_nothing(texts: object) -> list[list[float]]:
    return [[0.0] for _ in list(texts)]  # type: ignore[call-overload]


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(alphabet=st.sampled_from("aB1.\n é。語 "), max_size=600),
    tokens=st.integers(0, 150),
    counter=st.sampled_from([PUBLIC, HIDDEN]),
    asked=st.lists(st.sampled_from(["a B", "語", ""]), max_size=2),
)
def test_what_is_shown_fits_stands_in_order_and_leaves_out_the_rest(
    text: str, tokens: int, counter: Counter, asked: list[str]
) -> None:
    gap = counter.count("\n[...]\n")
    spans = fitting(text, asked, tokens=tokens, counter=counter, embed=embed_nothing, gap_tokens=gap)
    assert sum(counter.count(text[start:end]) for start, end in spans) + gap * max(0, len(spans) - 1) <= tokens
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(start < end for start, end in spans)
    covered = sorted([*spans, *left_out(text, spans)])
    lost = "".join(text[end:start] for (_, end), (start, _) in pairwise(covered))
    assert not lost.strip()
    if text and tokens and counter.count(text) <= tokens:
        assert spans == [(0, len(text))]


def test_white_space_alone_takes_no_room_from_words() -> None:
    for text, shown_text in (("\n \t" * 400, ""), ("\n \t" * 400 + "one word", "one word")):
        spans = fitting(text, ["word"], tokens=20, counter=PUBLIC, embed=embed_nothing, gap_tokens=4)
        assert shown(text, spans) == shown_text
        assert left_out(text, spans) == []


def test_little_of_the_room_stays_empty() -> None:
    lines = "\n".join(f"Tea {number}.10" for number in range(1500))
    spans = fitting(lines, ["total"], tokens=3000, counter=PUBLIC, embed=embed_offline, gap_tokens=4)
    assert sum(PUBLIC.count(lines[start:end]) for start, end in spans) > 2900
