"""Text that every later stage can keep: one kind of line end, and nothing that Postgres refuses."""

from __future__ import annotations

import re

# Postgres text cannot hold NUL, and UTF-8 has no lone surrogates; the others are no characters at all, by
# https://www.unicode.org/faq/private_use.html#nonchar4.
_UNKEEPABLE = re.compile("[\x00\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Nobody sees these, and a model reads them: controls of terminals, marks that turn the reading direction, spaces
# without width, and the tags in which whole sentences can hide. The two joiners are letters' business in scripts
# that join them, and nobody's beside Latin.
_UNSEEN = re.compile(
    "[\x01-\x08\x0e-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_JOINERS = re.compile("[\u200c\u200d]+")
_LAST_LATIN = "\u024f"
_BLANK_LINES = re.compile(r"\n{4,}")


def clean(text: str) -> str:
    """``text`` with ``\\n`` as its only line end, without NUL, lone surrogates, and what nobody sees."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _JOINERS.sub(_joining, _UNSEEN.sub("", _UNKEEPABLE.sub("", text))))


def _joining(found: re.Match[str]) -> str:
    """The joiners where they stand between letters that join; nothing beside Latin."""
    beside = found.string[found.start() - 1 : found.start()] + found.string[found.end() : found.end() + 1]
    return "" if any(char <= _LAST_LATIN for char in beside) else found[0]


def tidy(text: str) -> str:
    """Cleaned text of a laid-out page: without spaces at the ends of lines and rows of blank lines."""
    lines = "\n".join(line.rstrip() for line in clean(text).split("\n"))
    return _BLANK_LINES.sub("\n\n\n", lines).strip("\n")
