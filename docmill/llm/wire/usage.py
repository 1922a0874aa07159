"""Tokens as a provider counted them: found wherever it tells them, and held against each other.

Gateways copy figures from one provider's shape into another's, and the two count differently: Anthropic and
Bedrock count cached tokens beside the input, xAI and Gemini the reasoning beside the answer, OpenAI both within.
The total says which it was. What cannot be is unknown, with a warning: never zero, and never absurd.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from docmill.llm.types import Usage
from docmill.llm.wire.shapes import MOST_TOKENS, at, first, listed, mapping, mappings, sequence, whole

__all__ = ["Counted", "usage_in"]

MOST_OUTPUT = 2_000_000
"""Tokens of one answer with its thoughts; no model writes a quarter of it."""

INPUT = (
    *(
        "prompt_tokens",
        "input_tokens",
        "promptTokenCount",
        "prompt_eval_count",
        "inputTokens",
        "prompt_token_count",
    ),
    *(
        "input_token_count",
        "inputTokenCount",
        "inputTextTokenCount",
        "promptTokens",
        "tokens_evaluated",
        "input_length",
    ),
)
OUTPUT = (
    *("completion_tokens", "output_tokens", "candidatesTokenCount", "eval_count", "outputTokens"),
    *("candidates_token_count", "generation_token_count", "output_token_count", "outputTokenCount"),
    *("generated_token_count", "completionTokens", "tokens_predicted", "generated_tokens", "tokenCount"),
)
TOTAL = ("total_tokens", "totalTokenCount", "totalTokens", "total_token_count")
CACHED = (
    *("prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens", "prompt_cache_hit_tokens"),
    *("cache_read_input_tokens", "cacheReadInputTokens", "cachedContentTokenCount", "cached_content_token_count"),
    *("cached_tokens", "num_cached_tokens", "prompt_tokens_details.cache_read_input_tokens"),
)
WRITTEN = (
    *("prompt_tokens_details.cache_write_tokens", "input_tokens_details.cache_write_tokens"),
    *("cache_creation_input_tokens", "cacheWriteInputTokens", "cache_write_tokens"),
    *("prompt_tokens_details.cache_creation_input_tokens", "prompt_tokens_details.cache_creation_tokens"),
)
LIFETIMES = (
    "cache_creation",
    "prompt_tokens_details.cache_creation_token_details",
    "cache_creation_token_details",
)
"""Where what was written to a cache is told by how long it is kept: Anthropic's place, and LiteLLM's."""
MOST_LIFETIMES = 10
"""Of Bedrock's list, which has two."""
FIVE_MINUTES, ONE_HOUR = "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"
REASONING = (
    *(
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "thoughtsTokenCount",
    ),
    *("output_tokens_details.thinking_tokens", "reasoning_tokens", "thoughts_token_count", "reasoningTokens"),
)
TOOLS = ("toolUsePromptTokenCount", "tool_use_prompt_token_count")
"""Gemini's, beside its input."""

COUNTS_CACHED_BESIDE = frozenset({"input_tokens", "inputTokens"})
CACHED_BESIDE = frozenset(
    {
        *("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation"),
        *("cacheReadInputTokens", "cacheWriteInputTokens", "cacheDetails"),
    }
)
REASONING_BESIDE = frozenset({"thoughtsTokenCount", "thoughts_token_count"})
REASON_BESIDE_PROVIDERS = frozenset({"xai"})

PLACES = (
    *(
        "usage",
        "usageMetadata",
        "usage_metadata",
        "x_groq.usage",
        "message.usage",
        "meta.billed_units",
        "meta.tokens",
    ),
    *("metrics", "details", "result.usage", "data.usage", "response.usage", "output.usage"),
)
SENSELESS_LIFETIMES = (
    "how long the cache keeps what was written makes no sense: what may be an hour is taken for one"
)
INNER = ("billed_units", "tokens")
"""Cohere's, within its usage: what it bills goes first."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A usage, and what was wrong with the figures."""

    usage: Usage
    warnings: tuple[str, ...] = ()


def usage_in(body: Mapping[str, Any], provider: str) -> Counted:
    """Reads the tokens of a response. Never raises; what is not told, or makes no sense, is unknown."""
    told = next(filter(_counts_anything, _places(body)), None)
    return Counted(usage=Usage()) if told is None else _counted(told, provider)


def _places(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for path in PLACES:
        told = mapping(at(body, path))
        yield from (mapping(told.get(name)) for name in INNER)
        yield told
    yield from (mapping(choice.get("usage")) for choice in listed(body.get("choices"))[:1])
    # Titan and watsonx count the answer with the answer, and Titan the question outside.
    yield from ({**body, **result} for result in listed(body.get("results"))[:1])
    yield body
    yield from (mapping(mapping(item).get("details")) for item in sequence(body.get("outputs"))[:1])


def _counts_anything(told: Mapping[str, Any]) -> bool:
    return first(told, (*INPUT, *OUTPUT, *TOTAL)) is not None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Each figure as it was told; None is unknown."""

    input: int | None
    output: int | None
    total: int | None
    cached: int | None
    written: int | None
    written_1h: int | None
    reasoning: int | None
    tools: int | None

    @property
    def from_cache(self) -> int:
        return (self.cached or 0) + (self.written or 0)


def _counted(told: Mapping[str, Any], provider: str) -> Counted:
    written = _written(told)
    figures = Figures(
        input=_figure(told, INPUT),
        output=_figure(told, OUTPUT, MOST_OUTPUT),
        total=_figure(told, TOTAL) or None,
        cached=_figure(told, CACHED),
        written=written.tokens,
        written_1h=written.kept_1h,
        reasoning=_figure(told, REASONING, MOST_OUTPUT),
        tools=_figure(told, TOOLS),
    )
    senseless = [f"{name} makes no sense: unknown" for name in _senseless(told, figures)]
    beside = _cached_beside(told)
    if beside and _lacks_a_part(told, figures, written):
        figures = replace(figures, input=None, total=_total_of_more(figures))
    asked = _inputs(figures, beside=beside)
    given = _outputs(figures, beside=_reasons_beside(told, provider))
    usage, mismatch = _held_against_total(figures, asked, given)
    by_need = _beside_by_need(figures, told, provider)
    return Counted(usage=usage, warnings=(*senseless, *written.warnings, *by_need, *mismatch))


def _lacks_a_part(told: Mapping[str, Any], figures: Figures, written: Written) -> bool:
    """Whether a part of the input was told, and nobody knows how many it is."""
    parts = ((CACHED, figures.cached), (WRITTEN, figures.written))
    senseless = any(figure is None and first(told, paths) is not None for paths, figure in parts)
    return senseless or (written.tokens is None and bool(written.warnings))


def _total_of_more(figures: Figures) -> int | None:
    """The total, where it counts what is beside the input, too."""
    seen = (figures.input or 0) + (figures.output or 0)
    return figures.total if figures.total is not None and figures.total > seen else None


def _figure(told: Mapping[str, Any], paths: Sequence[str], most: int | None = None) -> int | None:
    value = first(told, paths)
    return whole(value) if most is None else whole(value, most)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Tokens written to a cache, and those of them that are kept for an hour; None is unknown."""

    tokens: int | None
    kept_1h: int | None = None
    warnings: tuple[str, ...] = ()


def _written(told: Mapping[str, Any]) -> Written:
    """Where the lifetimes do not add up, the dearest that they allow is taken: an hour costs more."""
    count, kept = _figure(told, WRITTEN), _lifetimes(told)
    brief, lasting = whole(kept.get(FIVE_MINUTES)), whole(kept.get(ONE_HOUR))
    senseless = (brief is None and kept.get(FIVE_MINUTES) is not None) or (
        lasting is None and kept.get(ONE_HOUR) is not None
    )
    known = (brief or 0) + (lasting or 0)
    senseless = senseless or known > MOST_TOKENS
    if first(told, WRITTEN) is None and not senseless and (brief, lasting) != (None, None):
        count = known
    if count is None or (known == 0 and not senseless):
        # All zeros beside a count are a gateway's, which fills in what nobody told it.
        return Written(tokens=count, warnings=(SENSELESS_LIFETIMES,) if senseless else ())
    unsaid = count if lasting is None else 0
    dearest = min(count, max(lasting or 0, unsaid if brief is None else count - brief))
    adds_up = not senseless and known <= count and dearest == (lasting or 0)
    return Written(tokens=count, kept_1h=dearest, warnings=() if adds_up else (SENSELESS_LIFETIMES,))


def _lifetimes(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is kept for five minutes and for an hour, as it was told; Bedrock has a list of them."""
    entries = mappings(told.get("cacheDetails"))[:MOST_LIFETIMES]
    in_list = {entry["ttl"]: entry.get("inputTokens") for entry in entries if isinstance(entry.get("ttl"), str)}
    return mapping(first(told, LIFETIMES)) or {
        FIVE_MINUTES: in_list.get("5m"),
        ONE_HOUR: in_list.get("1h"),
    }


def _senseless(told: Mapping[str, Any], figures: Figures) -> Iterator[str]:
    named = {
        "the input's count": (INPUT, figures.input),
        "the output's count": (OUTPUT, figures.output),
        "the count of cached tokens": (CACHED, figures.cached),
        "the count of tokens written to the cache": (WRITTEN, figures.written),
        "the count of reasoning tokens": (REASONING, figures.reasoning),
    }
    for name, (paths, figure) in named.items():
        if figure is None and first(told, paths) is not None:
            yield name


def _cached_beside(told: Mapping[str, Any]) -> bool:
    counted_as = next((name for name in INPUT if told.get(name) is not None), None)
    return counted_as in COUNTS_CACHED_BESIDE and any(name in told for name in CACHED_BESIDE)


def _reasons_beside(told: Mapping[str, Any], provider: str) -> bool:
    return provider in REASON_BESIDE_PROVIDERS or any(name in told for name in REASONING_BESIDE)


def _beside_by_need(figures: Figures, told: Mapping[str, Any], provider: str) -> Iterator[str]:
    """What says that a part is larger than its whole, in a shape that counts it within."""
    if figures.input is not None and figures.input < figures.from_cache and not _cached_beside(told):
        yield "more tokens are cached than the input has: they are taken to be counted beside it"
    reasoning = figures.reasoning or 0
    if figures.output is not None and figures.output < reasoning and not _reasons_beside(told, provider):
        yield "more tokens are reasoning than the output has: they are taken to be counted beside it"


def _inputs(figures: Figures, *, beside: bool) -> list[int]:
    """What the input may be, the likeliest first; none where nobody knows."""
    if figures.input is None:
        return []
    plain, cached = figures.input + (figures.tools or 0), figures.from_cache
    likely = [plain + cached, plain] if beside else [plain, plain + cached]
    return [count for count in likely if cached <= count <= MOST_TOKENS]


def _outputs(figures: Figures, *, beside: bool) -> list[int]:
    """What the output may be. A part that is larger than its whole was counted beside it."""
    plain, thoughts = figures.output, figures.reasoning or 0
    if plain is None:
        # Gemini's thoughts alone, where the answer did not come to a word.
        return [thoughts] if beside and figures.reasoning is not None else []
    likely = [plain + thoughts, plain] if beside else [plain, plain + thoughts]
    return [count for count in likely if thoughts <= count <= MOST_OUTPUT]


def _held_against_total(
    figures: Figures, asked: Sequence[int], given: Sequence[int]
) -> tuple[Usage, tuple[str, ...]]:
    """The usage for which the total is right; a difference that no figure explains is thoughts nobody counted."""
    total = figures.total
    fits = [(one, other) for one, other in product(asked, given) if total is None or total == one + other]
    # Some totals count what is fresh, or what is seen, alone.
    fits += [
        (one, other)
        for one, other in product(asked, given)
        if total in (one + other - figures.from_cache, one + other - (figures.reasoning or 0))
    ]
    if fits:
        return _usage(figures, *fits[0]), ()
    known_input, known_output = next(iter(asked), None), next(iter(given), None)
    if total is None:
        return _usage(figures, known_input, known_output), ()
    if known_input is not None and total >= known_input + (known_output or 0):
        return _with_untold_output(figures, known_input, total - known_input)
    if known_input is None and known_output is not None and known_output <= total:
        return _usage(figures, total - known_output, known_output), ()
    return _contradicted(figures, known_input, known_output)


def _with_untold_output(figures: Figures, known_input: int, output: int) -> tuple[Usage, tuple[str, ...]]:
    if output > MOST_OUTPUT:
        return _usage(figures, known_input, None), ("the total makes no sense: the output is unknown",)
    more = "the total counts more than input and output: the difference is taken for output"
    return _usage(figures, known_input, output), (more,) if figures.output is not None else ()


def _contradicted(
    figures: Figures, known_input: int | None, known_output: int | None
) -> tuple[Usage, tuple[str, ...]]:
    """A total below its parts denies each that alone is more, and each that makes sense only as a sum."""
    total = figures.total or 0
    denies_input = known_input is not None and (known_input > total or (figures.input or 0) < figures.from_cache)
    denies_output = known_output is not None and (
        known_output > total or (figures.output or 0) < (figures.reasoning or 0)
    )
    warnings = ("the total is less than its parts: what it denies is unknown",)
    return _usage(
        figures, None if denies_input else known_input, None if denies_output else known_output
    ), warnings


def _usage(figures: Figures, known_input: int | None, known_output: int | None) -> Usage:
    """The parts are told only where they are no larger than their whole."""
    cached_fits = known_input is None or figures.from_cache <= known_input
    reasoning_fits = known_output is None or (figures.reasoning or 0) <= known_output
    return Usage(
        input_tokens=known_input,
        output_tokens=known_output,
        cached_tokens=figures.cached if cached_fits else None,
        cache_write_tokens=figures.written if cached_fits else None,
        cache_write_1h_tokens=figures.written_1h if cached_fits else None,
        reasoning_tokens=figures.reasoning if reasoning_fits else None,
    )
