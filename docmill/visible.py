"""Other people's words as one line in which nothing acts: for logs, and for a terminal."""

from __future__ import annotations

import re

__all__ = ["harmless", "visible", "visible_lines"]

_ACTS = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # controls of terminals
    "\u2028\u2029"  # breaks of lines
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks of direction
    "\ufeff\U000e0000-\U000e007f"  # what nobody sees
    "\ud800-\udfff]"  # what cannot be written
)


def visible(text: str) -> str:
    """The text with each of those as its escape: ``\\n``, ``\\x1b``, ``\\u202e``."""
    return _ACTS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def harmless(text: str) -> str:
    """The text with a mark in the place of each: for a name, in which an escape would be read as part of it."""
    return _ACTS.sub("\ufffd", text)


def visible_lines(text: str) -> str:
    """The same, and its lines stay lines."""
    return "\n".join(map(visible, text.split("\n")))
