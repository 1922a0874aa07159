"""How well the words around a place fit a field's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import lru_cache

from docmill.parsing.placing.records import Path

__all__ = ["label_cost", "plain", "words_of_name"]

PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_]+")
ALIKE = {
    "no": "number", "nr": "number", "num": "number", "qty": "quantity", "tel": "phone", "amt": "amount",
    "tax": "vat", "vendor": "seller", "supplier": "seller", "customer": "buyer", "client": "buyer",
    "descr": "description", "desc": "description",
}  # fmt: skip
"""Short forms, and words for one party of a deal."""
EMPTY = frozenset({"the", "of", "a", "an", "and", "value", "text", "is", "name"})
"""Words of a name that say little of where its value stands."""


@lru_cache(maxsize=4096)
def words_of_name(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the words of a field's own name, and those of the object that it is in."""
    names = [step for step in path if isinstance(step, str)]
    own = {plain(word) for word in PARTS.findall(names[-1])} if names else set()
    around = {plain(word) for name in names[-2:-1] for word in PARTS.findall(name)}
    return frozenset(own - EMPTY or own), frozenset(around - own - EMPTY)


@lru_cache(maxsize=4096)
def plain(word: str) -> str:
    """Returns a word as all its forms are compared: small, singular, and not in short."""
    word = word.lower()
    word = ALIKE.get(word, word)
    return word[:-1] if len(word) > 3 and word.endswith("s") else word


def label_cost(path: Path, before: Sequence[str], above: Sequence[str]) -> float:
    """Returns 0 right behind the field's own name, 1.2 where nothing around says it."""
    own, around = words_of_name(path)
    if not own:
        return 1.2
    share, farness = _told(own, around, before)
    if share:
        return 0.7 * (1 - share) + min(0.4, 0.06 * farness)
    share, _ = _told(own, around, above)
    return 0.6 + 0.5 * (1 - share) if share else 1.2


def _told(own: Collection[str], around: Collection[str], words: Sequence[str]) -> tuple[float, int]:
    """Which share of a name the words say, and how many others stand behind or among them."""
    places = {plain(word): at for at, word in enumerate(words)}
    told = [places[word] for word in own if word in places]
    if not told:
        return 0.0, 0
    beside = sum(word in places for word in around)
    share = (len(told) + 0.5 * beside) / (len(own) + 0.5 * len(around))
    # `Sub total` is another thing than `total`: a word right before the name belongs to it.
    first, last = min(told), max(told)
    return share, len(words) - 1 - last + min(1, first)
