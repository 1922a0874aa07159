"""Requests that are too large, by the providers' own wordings (docs/providers.md, section 5.2).

The numbers in such messages are hints: some servers report a lower bound, or the window less the output
limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from docmill.llm.wire.shapes import whole

__all__ = ["Overflow", "overflow_in"]

OVERFLOW_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "exceed_context_size_error",
        "input_too_large",
        "max_tokens_per_request",
        "request_too_large",
        "string_above_max_length",
    }
)


@dataclass(frozen=True, kw_only=True)
class Overflow:
    """What a message says about the size: the limit and what the request had, in tokens, where it names
    them."""

    limit_tokens: int | None = None
    actual_tokens: int | None = None
    limit_is_window: bool = True
    """False where the limit is a budget a minute, a batch size, or the window less the output limit."""


def _wording(pattern: str) -> re.Pattern[str]:
    """``L`` and ``A`` stand for the limit and the actual number, ``M`` for what is added to A, ``…`` for a
    gap."""
    for letter, name in (("<L>", "limit"), ("<A>", "actual"), ("<M>", "more")):
        pattern = pattern.replace(letter, rf"(?P<{name}>\d{{1,12}})")
    return re.compile(pattern.replace("…", r".{0,300}?"), re.IGNORECASE | re.DOTALL)


# The first that fits is read, so that a wording with numbers stands before the same one without.
WINDOW_WORDINGS = tuple(
    map(
        _wording,
        (
            # OpenAI, DeepSeek, OpenRouter, old vLLM
            r"maximum context length is <L> tokens…(?:you requested|resulted in)(?: about)? <A> tokens",
            r"maximum context length is <L> tokens…your request has <A> input tokens…\((?P<more>\d+) >",
            r"configured limit of <L> tokens…resulted in <A> tokens",
            # Anthropic
            r"(?:prompt|input) is too long: <A> tokens > <L>",
            r"exceed context limit: <A> \+ <M> > <L>",
            # Gemini
            r"input token count \(?<A>\)? exceeds the maximum number of tokens allowed \(?<L>",
            r"input token count exceeds the maximum number of tokens allowed \(?<L>",
            # llama.cpp
            r"\(<A> tokens\) exceeds the available context size \(<L> tokens",
            # vLLM from 0.15
            r"you passed <A> input tokens…context length is only <L> tokens",
            # The same server counts characters where it has not tokenised: no number of tokens then.
            r"you passed \d+ input characters…context length is only <L> tokens",
            # TGI, Together
            r"must be <= <L>\. given: <A> `?inputs`? tokens and <M> `?max_new_tokens",
            r"\(<A> tokens\) is longer than the model's context length \(<L> tokens",
            # LM Studio
            r"keep the first <A> tokens when context the overflows…context length of only <L> tokens",
            r"n_keep: <A>\s*>=\s*n_ctx: <L>",
            # Ollama with MLX
            r"input length \(<A> tokens\) exceeds…\(<L> tokens",
            # Mistral
            r"prompt contains <A> tokens…too large for model with <L> maximum context length",
            # xAI
            r"maximum prompt length is <L> but the request contains <A> tokens",
            r"current message \(<A> tokens\) exceeds budget \(<L> tokens",
            # SGLang, Moonshot, Cohere, old TGI, Copilot, Vertex
            r"maximum context length of <L> tokens…requested a total of <A> tokens",
            r"exceeded model token limit: <L>(?:…requested:? <A>)?",
            r"tokens in the prompt cannot exceed <L> - received <A>",
            r"must have less than <L> tokens\. given: <A>",
            r"token count (?:of|is) <A> (?:exceeds the limit of|but (?:the )?model only supports up to) <L>",
            r"input (?:length|tokens) \(?<A>\)? exceeds?…(?:length|size|limit|window) (?:of |is )?\(?<L>",
        ),
    )
)

OTHER_WORDINGS = tuple(
    map(
        _wording,
        (
            # vLLM with a known fault: this "maximum" is the window less the output limit.
            r"maximum context length is <L> tokens…your request has <A> input tokens",
            # OpenAI and Groq: the budget a minute, smaller than this one request
            r"request too large…limit:? <L>,…requested:? <A>",
            r"request too large",
            # embeddings: a limit for the whole batch
            r"requested <A> tokens, max <L> tokens per request",
            r"too many tokens in batch\. max is <L> got <A>",
            r"\(<A> tokens\) is too large to process…batch size: <L>",
        ),
    )
)

# Wordings that name no number, and those we have not met with theirs.
WORDLESS = re.compile(
    r"exceed(?:s|ed|ing)? (?:the |your |this )?(?:available )?(?:model'?s? )?(?:max(?:imum)? )?"
    r"context (?:window|length|size|limit)"
    r"|context (?:window|length|size|limit) (?:(?:has been|was|is) exceeded|exceeds limit)"
    r"|greater than the context length|(?:prompt|input)(?: tokens)? exceeds? (?:the )?max|\bprompt too long"
    r"|(?:prompt|input|message|request)s?(?: length)? (?:is|are) too long"
    r"|(?:prompt|input|message|request)s?(?: length)? (?:is|are) longer than the (?:model's )?context"
    r"|exceed context limit|context[ _]length[ _]exceeded|maximum context length (?:is|of)\b"
    r"|context length is only|input token count[^.]{0,40} exceeds|\[input_too_large\]"
    r"|(?:input|prompt) tokens exceed|max_tokens must be at least 1, got -|too many tokens in batch"
    r"|too large for model with \d+ maximum context|tokens? when context the overflows"
    r"|(?:request entity|payload|content) too large|reduce the length of the (?:input )?(?:messages|prompt)",
    re.IGNORECASE,
)
# Here the largest L is named by the context length, whatever else the message says.
LOOSE_LIMIT = _wording(r"context (?:length|window|size|limit)(?: is| of)?(?: only)? \(?<L>(?: tokens)?")


_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")


def overflow_in(message: str, codes: frozenset[str] = frozenset()) -> Overflow | None:
    """Returns what the message and codes say about a request that is too large; None where they speak of something
    else."""
    plain = _THOUSANDS.sub("", message)
    for wordings, is_window in ((WINDOW_WORDINGS, True), (OTHER_WORDINGS, False)):
        for wording in wordings:
            if found := wording.search(plain):
                return _numbers(found, is_window=is_window)
    if codes & OVERFLOW_CODES or WORDLESS.search(plain):
        return _loose(plain)
    return None


def _numbers(found: re.Match[str], *, is_window: bool) -> Overflow:
    """The numbers that make sense: a limit of no tokens is none, and so is one that no model has."""
    named = {name: int(value) for name, value in found.groupdict().items() if value}
    actual = named.get("actual")
    return Overflow(
        limit_tokens=whole(named.get("limit")) or None,
        actual_tokens=None if actual is None else whole(actual + named.get("more", 0)),
        limit_is_window=is_window,
    )


def _loose(message: str) -> Overflow:
    found = LOOSE_LIMIT.search(message)
    return _numbers(found, is_window=True) if found else Overflow()
