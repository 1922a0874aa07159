"""What a model makes of a picture: its tokens, the size that the provider keeps, and what it refuses; pure.

Rules and limits are the providers' published ones (docs/providers.md, section 11). A picture that is larger than a
provider shows its model is made smaller there, and nobody says so; so each goes out at a size that is kept, and is
told the resolution that it is meant for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from docmill.llm.types import PictureType

__all__ = ["Sight", "sees", "sight_of"]

Size: TypeAlias = tuple[int, int]
"""Width and height in dots."""
MEGABYTE = 1_000_000
"""As providers count when they are strict."""
BASE64 = 4 / 3
"""Bytes of a request for each of a picture: limits mean the text that it is sent as."""


class Rule(Protocol):
    """How a provider counts a picture."""

    def tokens(self, width: int, height: int) -> int:
        """Tokens of a picture of any size, after what the provider does to it."""

    def keeps(self, width: int, height: int) -> bool:
        """Returns whether a picture of that size is shown to the model as it is."""


@dataclass(frozen=True, kw_only=True)
class Patches:
    """OpenAI's newer models: squares of 32 dots, of which there may be so many; each counts ``times``."""

    edge: int
    budget: int
    times: float

    def tokens(self, width: int, height: int) -> int:
        width, height = _within(width, height, self.edge)
        if _squares(width, height, 32) > self.budget:
            width, height = self._shrunk(width, height)
        return math.ceil(round(_squares(width, height, 32) * self.times, 6))

    def keeps(self, width: int, height: int) -> bool:
        return max(width, height) <= self.edge and _squares(width, height, 32) <= self.budget

    def _shrunk(self, width: int, height: int) -> Size:
        scale = math.sqrt(32 * 32 * self.budget / (width * height))
        wide, high = width * scale / 32, height * scale / 32
        scale *= min(math.floor(wide) / wide, math.floor(high) / high)
        return max(1, math.floor(width * scale)), max(1, math.floor(height * scale))


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """OpenAI's older models: within 2048 by 2048, the shorter side within 768, then tiles of 512."""

    base: int
    each: int

    def tokens(self, width: int, height: int) -> int:
        width, height = _within(width, height, 2048)
        if min(width, height) > 768:
            scale = 768 / min(width, height)
            width, height = math.floor(width * scale), math.floor(height * scale)
        return self.base + self.each * _squares(width, height, 512)

    def keeps(self, width: int, height: int) -> bool:
        return max(width, height) <= 2048 and min(width, height) <= 768


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Anthropic: squares of 28 dots, of an edge and a number at most, to which a larger picture is shrunk."""

    edge: int
    most: int

    def tokens(self, width: int, height: int) -> int:
        return _squares(*largest((width, height), self.keeps), 28)

    def keeps(self, width: int, height: int) -> bool:
        padded = math.ceil(max(width, height) / 28) * 28
        return padded <= self.edge and _squares(width, height, 28) <= self.most


@dataclass(frozen=True, kw_only=True)
class Crops:
    """Gemini 2: a small picture whole, of another crops of two thirds of its shorter side."""

    def tokens(self, width: int, height: int) -> int:
        if max(width, height) <= 384:
            return 258
        side = max(1, math.floor(min(width, height) / 1.5))
        return 258 * _squares(width, height, side)

    def keeps(self, width: int, height: int) -> bool:
        """A crop is shown in 768 by 768 dots."""
        return min(width, height) <= 768 * 1.5 and max(width, height) <= 3072


@dataclass(frozen=True, kw_only=True)
class Flat:
    """So many tokens whatever the size, at most, up to a longest side."""

    each: int
    edge: int

    def tokens(self, width: int, height: int) -> int:  # noqa: ARG002 - rules share a shape
        return self.each

    def keeps(self, width: int, height: int) -> bool:
        return max(width, height) <= self.edge


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Squares of a side, up to a longest edge of the picture; ``breaks`` for models that count each row's end.

    ``rounded`` for models that bring each edge to the nearest whole number of squares.
    """

    side: int
    edge: int
    breaks: bool = False
    rounded: bool = False

    def tokens(self, width: int, height: int) -> int:
        width, height = _within(width, height, self.edge)
        count = _nearest if self.rounded else math.ceil
        across, down = max(1, count(width / self.side)), max(1, count(height / self.side))
        return (across + 1) * down if self.breaks else across * down

    def keeps(self, width: int, height: int) -> bool:
        return max(width, height) <= self.edge


@dataclass(frozen=True, kw_only=True)
class Summed:
    """docmill's simulator: a base, and a token for each so many dots; what is too large it refuses."""

    base: int
    dots: int
    edge: int

    def tokens(self, width: int, height: int) -> int:
        return self.base + math.ceil(width * height / self.dots)

    def keeps(self, width: int, height: int) -> bool:
        return max(width, height) <= self.edge


@dataclass(frozen=True, kw_only=True)
class Sight:
    """How one model sees: a rule, and what a request may hold."""

    rule: Rule
    detail: str = "high"
    """The resolution that is asked for, where the provider has a name for it."""
    most_pictures: int = 20
    """Of one request."""
    most_bytes: int = 10 * MEGABYTE
    """Of one picture as base64."""
    most_request_bytes: int = 20 * MEGABYTE
    """Of all that a request holds."""
    edge: int = 8000
    """Dots of the longest side, beyond which a picture is refused."""
    crowd: int | None = None
    """From more pictures than this on, each may have ``crowd_edge`` dots at most."""
    crowd_edge: int = 2000
    media_types: tuple[PictureType, ...] = ("image/png", "image/jpeg")
    doubt: float = 1.1
    """How many times the counted tokens the provider may bill; more where it publishes no rule."""

    def tokens(self, width: int, height: int) -> int:
        """Returns what a picture counts, by the published rule."""
        return self.rule.tokens(width, height)

    def most_tokens(self, width: int, height: int) -> int:
        """Returns what a picture may be billed for at most."""
        return math.ceil(self.tokens(width, height) * self.doubt)

    def kept(self, width: int, height: int, *, beside: int = 0) -> Size:
        """The largest size of that shape which the model sees as it is sent, with so many pictures beside it."""
        edge = self.edge
        if self.crowd is not None and beside + 1 > self.crowd:
            edge = min(edge, self.crowd_edge)
        return largest((width, height), lambda w, h: max(w, h) <= edge and self.rule.keeps(w, h))

    def refusal(self, pictures: Sequence[Size], sizes: Sequence[int]) -> str | None:
        """Returns what of a request is beyond the provider's limits, in words; None where nothing is.

        ``sizes`` are the pictures' bytes.
        """
        if len(pictures) > self.most_pictures:
            return f"it has {len(pictures)} pages to be seen, and a request holds {self.most_pictures} at most"
        if max(sizes, default=0) * BASE64 > self.most_bytes:
            return f"a page's picture has {max(sizes):,} bytes, and {self.most_bytes / BASE64:,.0f} are taken"
        if sum(sizes) * BASE64 > self.most_request_bytes:
            most = self.most_request_bytes / BASE64
            return f"its pages' pictures have {sum(sizes):,} bytes, and a request holds {most:,.0f} at most"
        return None


def largest(size: Size, keeps: Callable[[int, int], bool]) -> Size:
    """The largest size of the same shape that is kept; the given one where it is."""
    width, height = size
    if keeps(width, height):
        return size
    longest, fits = max(width, height), 1
    low, high = 1, longest
    while low <= high:
        side = (low + high) // 2
        if keeps(*_scaled(size, side / longest)):
            fits, low = side, side + 1
        else:
            high = side - 1
    return _scaled(size, fits / longest)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, _nearest(size[0] * scale)), max(1, _nearest(size[1] * scale))


def _nearest(number: float) -> int:
    return math.floor(number + 0.5)


def _within(width: int, height: int, edge: int) -> Size:
    if max(width, height) <= edge:
        return width, height
    scale = edge / max(width, height)
    return max(1, math.floor(width * scale + 1e-9)), max(1, math.floor(height * scale + 1e-9))


def _squares(width: int, height: int, side: int) -> int:
    return math.ceil(width / side) * math.ceil(height / side)


# --- which model sees how ---

HIGH = {"edge": 2048, "budget": 2500}
WIDE = {"edge": 2048, "budget": 6144}


def _patches(times: float, edge: int = 2048, budget: int = 2500) -> Patches:
    return Patches(edge=edge, budget=budget, times=times)


RULES: tuple[tuple[re.Pattern[str], Rule], ...] = tuple(
    (re.compile(rf"(?:^|[/.]){pattern}"), rule)
    for pattern, rule in (
        (r"sim-(?:small|large)", Summed(base=60, dots=900, edge=2600)),
        (r"gpt-6", _patches(1.2, edge=65_535)),
        (r"gpt-5\.[4-9]", _patches(1.2)),
        (r"gpt-5\.2", _patches(1.2, budget=6144)),
        (r"gpt-5-mini", _patches(1.2)),
        (r"gpt-5-nano", _patches(1.5)),
        (r"gpt-4\.1-mini", _patches(1.62, budget=6144)),
        (r"gpt-4\.1-nano", _patches(2.46, budget=6144)),
        (r"o4-mini", _patches(1.72)),
        (r"gpt-4o-mini", Tiles(base=2833, each=5667)),
        (r"gpt-5", Tiles(base=70, each=140)),
        (r"(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-4-turbo|chatgpt-4o)", Tiles(base=85, each=170)),
        (r"(?:o1|o3)(?:$|-pro|-20)", Tiles(base=75, each=150)),
        (r"claude-(?:fable|mythos|(?:opus|sonnet|haiku)-(?:4[.-][7-9]\b|[5-9]))", Cells(edge=2576, most=4784)),
        (r"claude-(?:3|opus|sonnet|haiku|4)", Cells(edge=1568, most=1568)),
        (r"gemini-(?:1|2)", Crops()),
        (r"gemini-(?:[3-9]|flash|pro)", Flat(each=1120, edge=3072)),
        (r"pixtral-12b", Grid(side=16, edge=1024, breaks=True)),
        (r"(?:pixtral|ministral-3|mistral-(?:small|medium|large)-(?:latest|3|25|26))",
         Grid(side=28, edge=1540, breaks=True)),
        (r"qwen2(?:\.5)?-?vl", Grid(side=28, edge=3584, rounded=True)),
        (r"qwen3(?:-?vl|\.[5-8])", Grid(side=32, edge=4096, rounded=True)),
        (r"deepseek-v[4-9][\w.-]{0,20}-vision", Flat(each=384, edge=800)),
        ((r"(?:grok-(?:[4-9]|2-vision|vision)|llava|bakllava|gemma-?3|minicpm-v|llama-?3\.2-vision|llama-?4"
         r"|moondream|internvl|granite[\w.-]{0,20}vision|smolvlm)"), Grid(side=28, edge=2048)),
    )
)  # fmt: skip
"""The first that fits."""
BLIND = re.compile(
    r"(?:^|[/.])(?:sim-text|sim-embed|gpt-3|gpt-4(?:$|-0|-32)|o1-mini|o3-mini|claude-(?:2|instant)|deepseek|mixtral"
    r"|codestral|text-embedding)"
)
UNPUBLISHED = re.compile(
    r"(?:^|[/.])(?:grok|llava|bakllava|gemma|minicpm|llama|moondream|internvl|granite|smolvlm|gemini-[3-9]|gemini-f"
    r"|gemini-p)"
)
"""Models whose provider says nothing of tokens, or "approximately"."""
UNKNOWN = Grid(side=28, edge=2048)
"""For a model that takes pictures as docmill.toml says, and of which nothing else is known."""
DOUBT = 4.0
"""The finest grid that is published has four squares for one of ours."""

LIMITS: dict[str, dict[str, int]] = {
    "openai": {"most_pictures": 1500, "most_bytes": 100 * MEGABYTE, "most_request_bytes": 512 * MEGABYTE},
    "azure": {"most_pictures": 50, "most_bytes": 20 * MEGABYTE, "most_request_bytes": 50 * MEGABYTE},
    "anthropic": {
        "most_pictures": 100,
        "most_bytes": 10 * MEGABYTE,
        "most_request_bytes": 32 * MEGABYTE,
        "crowd": 20,
    },
    "gemini": {"most_pictures": 3600, "most_bytes": 20 * MEGABYTE, "most_request_bytes": 20 * MEGABYTE},
    "gemini-compat": {"most_pictures": 3600, "most_bytes": 20 * MEGABYTE, "most_request_bytes": 20 * MEGABYTE},
    "mistral": {"most_pictures": 8, "most_bytes": 10 * MEGABYTE, "most_request_bytes": 80 * MEGABYTE},
    "deepseek": {"most_pictures": 14, "most_bytes": 32 * MEGABYTE, "most_request_bytes": 48 * MEGABYTE},
    "xai": {"most_pictures": 100, "most_bytes": 20 * MEGABYTE, "most_request_bytes": 100 * MEGABYTE},
    "groq": {"most_pictures": 5, "most_bytes": 4 * MEGABYTE, "most_request_bytes": 4 * MEGABYTE},
    "simulator": {"most_pictures": 20, "most_bytes": 10 * MEGABYTE, "most_request_bytes": 30 * MEGABYTE},
}
"""By provider; what none publishes is bounded all the same."""


def sees(model: str, *, told: bool | None = None, met: bool | None = None) -> bool | None:
    """Returns whether a model takes pictures; None is unknown.

    ``met`` is what the provider itself has shown, ``told`` what docmill.toml says; both go before the names that
    are listed here.
    """
    if met is False:
        return False
    known = next((each for each in (told, met) if each is not None), None)
    if known is not None:
        return known
    return True if _rule_of(model) is not None else False if BLIND.search(model.lower()) else None


def sight_of(provider: str, model: str) -> Sight:
    """Returns how a model sees that takes pictures."""
    rule = _rule_of(model)
    doubtful = rule is None or UNPUBLISHED.search(model.lower()) is not None
    limits = LIMITS.get("simulator" if isinstance(rule, Summed) else provider.lower(), {})
    sight = Sight(rule=rule or UNKNOWN, doubt=DOUBT if doubtful else Sight.doubt)
    return replace(sight, **limits)  # type: ignore[arg-type] # all of them are whole numbers


def _rule_of(model: str) -> Rule | None:
    name = model.lower()
    return next((rule for pattern, rule in RULES if pattern.search(name)), None)
