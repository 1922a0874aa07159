from __future__ import annotations

import pytest

from docmill.llm.overflow import Overflow, overflow_in


@pytest.mark.parametrize(
    ("message", "limit", "actual"),
    [
        (
            "This model's maximum context length is 8192 tokens, however you requested 51,435 tokens (51435 in …)",
            8192,
            51435,
        ),
        (
            "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens",
            32768,
            40000,
        ),
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens",
            4097,
            5000,
        ),
        (
            "Input tokens exceed the configured limit of 272,000 tokens. Your messages resulted in 290,000 tokens.",
            272000,
            290000,
        ),
        ("prompt is too long: 209353 tokens > 199999 maximum", 199999, 209353),
        (
            "input length and `max_tokens` exceed context limit: 143653 + 64000 > 200000, decrease",
            200000,
            207653,
        ),
        (
            "The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).",
            1048576,
            1200293,
        ),
        ("request (5000 tokens) exceeds the available context size (4096 tokens), try", 4096, 5000),
        (
            (
                "You passed 8193 input tokens and requested 512 output tokens. However, the model's context length is "
                "only 8192 tokens"
            ),
            8192,
            8193,
        ),
        (
            (
                "You passed 40000 input characters and requested 9 output tokens. However, the model's context length "
                "is only 8192 tokens"
            ),
            8192,
            None,
        ),
        (
            (
                "`inputs` tokens + `max_new_tokens` must be <= 65537. Given: 79993 `inputs` tokens and 1024 "
                "`max_new_tokens`"
            ),
            65537,
            81017,
        ),
        ("The input (10000 tokens) is longer than the model's context length (8193 tokens).", 8193, 10000),
        (
            (
                "Trying to keep the first 14538 tokens when context the overflows. However, the model is loaded with "
                "context length of only 2048 tokens"
            ),
            2048,
            14538,
        ),
        ("n_keep: 5000>= n_ctx: 4096", 4096, 5000),
        ("input length (9000 tokens) exceeds the model's maximum context length (8192 tokens)", 8192, 9000),
        (
            "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
            32768,
            40000,
        ),
        ("maximum prompt length is 131072 but the request contains 150000 tokens", 131072, 150000),
        (
            "[input_too_large] Current message (1149677 tokens) exceeds budget (975424 tokens)",
            975424,
            1149677,
        ),
        ("Your input exceeds the context window of this model", None, None),
        ("the input length exceeds the context length", None, None),
        ("the prompt is longer than the context length currently available", None, None),
        ("max_tokens must be at least 1, got -57.", None, None),
    ],
)
def test_wordings_about_the_window(message: str, limit: int | None, actual: int | None) -> None:
    assert overflow_in(message) == Overflow(limit_tokens=limit, actual_tokens=actual)


@pytest.mark.parametrize(
    ("message", "limit", "actual"),
    [
        ("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 31538.", 30000, 31538),
        ("Requested 309209 tokens, max 300000 tokens per request", 300000, 309209),
        ("Too many tokens in batch. Max is 16384 got 20000", 16384, 20000),
        ("input (1000 tokens) is too large to process. (current batch size: 512)", 512, 1000),
        (
            "maximum context length is 3 tokens. However, your request has 8 input tokens. (parameter=input_tokens)",
            3,
            8,
        ),
    ],
)
def test_limits_that_are_not_the_window(message: str, limit: int, actual: int) -> None:
    told = overflow_in(message)
    assert told == Overflow(limit_tokens=limit, actual_tokens=actual, limit_is_window=False)


@pytest.mark.parametrize(
    "message",
    [
        "Tokens per minute limit exceeded - too many tokens processed.",
        "Prompt tokens limit exceeded: 230799 > 91442",
        "max_tokens: 64000 > 8192, which is the maximum allowed number of output tokens",
        (
            "max_completion_tokens must be less than or equal to 40960, the maximum value for max_completion_tokens is "
            "less than the context_window for this model"
        ),
        "Rate limit reached on tokens per min (TPM): Limit 30000, Used 18928, Requested 11159.",
        "",
    ],
)
def test_what_speaks_of_tokens_is_not_always_an_overflow(message: str) -> None:
    assert overflow_in(message) is None


def test_a_code_says_it_without_words() -> None:
    assert overflow_in("…", frozenset({"string_above_max_length"})) == Overflow()
