"""Tokens and sizes of pictures, against the providers' own published examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.llm.sight import sees, sight_of
from docmill.llm.tokens import counter_for, learn_picture_ratio, learn_ratio
from docmill.llm.types import Message, Picture

A4_150, A4_200 = (1240, 1754), (1654, 2339)

PUBLISHED = [
    # provider, model, of a page of A4 at 150 dots an inch, at 200
    ("openai", "gpt-6-astra", 2574, 2974),
    ("openai", "gpt-5.6-sol", 2574, 2974),
    ("openai", "gpt-5.5", 2574, 2974),
    ("openai", "gpt-5.4-mini", 2574, 2974),
    ("openai", "gpt-4.1-mini", 3475, 4770),
    ("openai", "gpt-4o", 1105, 1105),
    ("azure", "gpt-4.1", 1105, 1105),
    ("openai", "gpt-5", 910, 910),
    ("openai", "gpt-5.1", 910, 910),
    ("openai", "o3", 975, 975),
    ("openai", "gpt-4o-mini", 36_835, 36_835),
    ("anthropic", "claude-opus-4-7", 2835, 4756),
    ("openrouter", "anthropic/claude-opus-4.7", 2835, 4756),
    ("anthropic", "claude-haiku-4-5", 1551, 1551),
    ("anthropic", "claude-sonnet-4-20250514", 1551, 1551),
    ("gemini", "gemini-2.5-flash", 1548, 1548),
    ("gemini", "gemini-3-pro", 1120, 1120),
    ("mistral", "mistral-medium-latest", 2200, 2200),
    ("vllm", "Qwen/Qwen2.5-VL-7B-Instruct", 2772, 4956),
    ("vllm", "Qwen/Qwen3-VL-8B-Instruct", 2145, 3796),
]


@pytest.mark.parametrize(("provider", "model", "at_150", "at_200"), PUBLISHED)
def test_a_page_counts_as_published(provider: str, model: str, at_150: int, at_200: int) -> None:
    sight = sight_of(provider, model)
    assert sight.tokens(*A4_150) == pytest.approx(at_150, rel=0.02)
    assert sight.tokens(*A4_200) == pytest.approx(at_200, rel=0.02)


@pytest.mark.parametrize(
    ("provider", "model", "size"),
    [
        ("openai", "gpt-5.5", (1335, 1888)),
        ("openai", "gpt-4.1-mini", (1448, 2048)),
        ("openai", "gpt-4o", (768, 1086)),
        ("anthropic", "claude-opus-4-7", (1624, 2296)),
        ("anthropic", "claude-haiku-4-5", (924, 1307)),
        ("mistral", "pixtral-large-latest", (1089, 1540)),
    ],
)
def test_a_page_goes_out_at_the_size_that_is_kept(provider: str, model: str, size: tuple[int, int]) -> None:
    assert sight_of(provider, model).kept(*A4_200) == size


def test_beside_twenty_others_anthropic_takes_smaller_ones() -> None:
    sight = sight_of("anthropic", "claude-opus-4-7")
    assert max(sight.kept(*A4_200, beside=19)) == 2296
    assert max(sight.kept(*A4_200, beside=20)) == 2000


MODELS = sorted({(provider, model) for provider, model, _, _ in PUBLISHED} | {("vllm", "odd"), ("xai", "grok-4")})


@given(st.sampled_from(MODELS), st.integers(1, 9000), st.integers(1, 9000), st.integers(0, 30))
def test_what_is_kept_is_no_larger_of_the_same_shape_and_is_left_as_it_is(
    named: tuple[str, str], width: int, height: int, beside: int
) -> None:
    sight = sight_of(*named)
    wide, high = sight.kept(width, height, beside=beside)
    assert 1 <= wide <= width
    assert 1 <= high <= height
    assert sight.kept(wide, high, beside=beside) == (wide, high)
    assert sight.rule.keeps(wide, high)
    assert abs(wide * height - high * width) <= max(width, height) * 1.0
    assert 0 < sight.tokens(wide, high) <= sight.most_tokens(wide, high)


def test_which_models_see_is_known_or_told_or_met() -> None:
    assert sees("gpt-5.5") is sees("anthropic/claude-sonnet-5") is sees("sim-small") is True
    assert sees("deepseek-v4-flash-vision-exp") is True
    assert sees("deepseek-chat") is sees("gpt-4") is sees("sim-text") is False
    assert sees("our-own") is None
    assert sees("our-own", told=True) is True
    assert sees("gpt-5.5", told=False) is False
    assert sees("our-own", told=True, met=False) is False
    assert sees("our-own", met=True) is True


def test_a_request_beyond_the_limits_is_told_in_words() -> None:
    sight = sight_of("groq", "qwen/qwen3.6-27b")
    page = (1000, 1400)
    assert sight.refusal([page] * 5, [500_000] * 5) is None
    assert "5 at most" in str(sight.refusal([page] * 6, [1] * 6))
    assert "3,200,000 bytes" in str(sight.refusal([page], [3_200_000]))
    assert "holds 3,000,000" in str(sight.refusal([page] * 4, [900_000] * 4))


def picture(tokens: int, most: int) -> Picture:
    return Picture(
        document_id=1, page=1, width=10, height=10, media_type="image/png", sha256="", size=1, tokens=tokens,
        most_tokens=most,
    )  # fmt: skip


def test_pictures_are_counted_beside_the_words() -> None:
    counter = counter_for("gpt-4o")
    words = [Message(role="user", content="one two three")]
    shown = [Message(role="user", content="one two three", pictures=(picture(1000, 1100),) * 2)]
    labels = 2 * counter.estimate("Page 1:")
    assert counter.count_messages(shown) == counter.count_messages(words) + labels + 2000
    assert counter.most(shown) >= counter.most(words) + 2200
    told = counter_for("gpt-4o", {"picture_ratio": 2.0})
    assert told.count_messages(shown) == counter.count_messages(words) + labels + 4000
    assert told.most(shown) >= counter.most(words) + 4400


def test_what_answers_count_of_pictures_is_learned_apart_from_words() -> None:
    learned = learn_picture_ratio({"token_ratio": 1.2}, words=500, pictures=1000, counted=2500)
    assert learned == {"token_ratio": 1.2, "picture_ratio": 2.0}
    assert learn_picture_ratio(learned, words=500, pictures=1000, counted=2500) is None
    assert learn_picture_ratio({}, words=500, pictures=0, counted=2500) is None
    assert learn_ratio(learned, estimated=10, counted=10) is not None
