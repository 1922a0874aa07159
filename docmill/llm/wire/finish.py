"""How a reply ended, in docmill's words: the words of all providers, and what they have in common.

A gateway passes on the word of whatever stands behind it, so that each word may come from anybody. One that is on
no list is judged by its stem (``guardrail_intervened``, ``output_filtered``); what that leaves is unknown, and is
never taken for an answer that was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from docmill.llm.types import FinishReason
from docmill.llm.wire.shapes import label, text

__all__ = ["finish_of", "told_word", "word_of"]

WORDS: Mapping[FinishReason, frozenset[str]] = {
    "stop": frozenset(
        {
            *("stop", "stopped", "end", "ended", "done", "finish", "finished", "complete", "completed", "success"),
            *(
                "succeeded",
                "normal",
                "natural",
                "eos",
                "eos_token",
                "stop_token",
                "endoftext",
                "end_of_text",
                "eot",
            ),
            *(
                "end_turn",
                "end_of_turn",
                "stop_sequence",
                "stop_sequences",
                "stop_sequence_found",
                "stop_criteria",
            ),
            *("tool_calls", "tool_call", "tool_use", "function_call", "function_calls", "pause_turn", "stop_word"),
        }
    ),
    "length": frozenset(
        {
            *("length", "max_tokens", "max_token", "model_length", "max_length", "token_limit", "limit"),
            *("error_limit", "model_context_window_exceeded", "max_output_reached", "too_long", "truncated"),
        }
    ),
    "refusal": frozenset({"refusal", "refused"}),
    "error": frozenset(
        {"other", "load", "unload", "incomplete", "insufficient_system_resource", "language_error"}
    ),
    "content_filter": frozenset({"language", "error_toxic"}),
}
KNOWN: Mapping[str, FinishReason] = {word: finish for finish, words in WORDS.items() for word in words}

# The first stem that fits: "repetition_truncation" and "rate_limit" are no cut at the output limit.
STEMS: tuple[tuple[FinishReason, re.Pattern[str]], ...] = (
    (
        "content_filter",
        re.compile(
            r"filter|safety|guard_?rail|moderat|prohibit|block|sensitive|policy|toxic|flagged|recit|violat|unsafe"
            r"|armor|censor|inspect|copyright|(?:^|_)(?:harm|s?pii|nsfw|risk|hate|csam)"
        ),
    ),
    ("refusal", re.compile(r"refus")),
    (
        "error",
        re.compile(
            r"error|fail|abort|cancel|time_?d?_?out|overload|interrupt|unavailab|malformed|unexpected|resource"
            r"|disconnect|kill|crash|busy|exception|invalid|(?:rate|time)_?limit|quota|too_many|preempt|repetition|repeat"
            r"|no_image|missing|unfinished|dropped|closed|expired"
        ),
    ),
    (
        "length",
        re.compile(
            r"length|max(?:imum)?_\w{0,20}tokens?|tokens?_limit|output_limit|limit_reached|truncat|window_exceeded"
        ),
    ),
)
GEMINI_NUMBERS: Mapping[int, str] = {1: "stop", 2: "max_tokens", 3: "safety", 4: "recitation", 5: "other"}
"""As gateways write the names of an enumeration by its numbers."""

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PREFIX = re.compile(r"^(?:finish|stop)_?reasons?[_.]")


def word_of(told: object) -> str:
    """Writes a provider's word as all others write theirs: ``FinishReason.MAX_TOKENS`` is ``max_tokens``."""
    if isinstance(told, int) and not isinstance(told, bool):
        return GEMINI_NUMBERS.get(told, label(told))
    # Gemini's compat endpoint appends its own reason: "content_filter: SAFETY".
    word = _HUMP.sub("_", text(told)[:100].split(":")[0].strip()).lower()
    return _PREFIX.sub("", word.replace("-", "_").replace(" ", "_"))


def finish_of(told: object) -> FinishReason | None:
    """Gives docmill's word for a provider's; ``stop`` where it says nothing, None where nobody knows the word."""
    word = word_of(told)
    if word in ("", "null", "none", "unspecified", "finish_reason_unspecified"):
        return "stop"
    return KNOWN.get(word) or next((finish for finish, stem in STEMS if stem.search(word)), None)


def told_word(words: Iterable[object]) -> object:
    """Picks the word that decides: the first that says that this is no full answer, else the first of all.

    A gateway translates the word of the provider behind it, and some make a full answer of what they do not know.
    """
    told = [word for word in words if word_of(word)]
    return next((word for word in told if finish_of(word) not in ("stop", None)), next(iter(told), None))
