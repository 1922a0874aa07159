"""Text that every later stage can keep: one kind of line end, and nothing that Postgres refuses."""

from __future__ import annotations

import re

# Postgres text cannot hold NUL, and UTF-8 has no lone surrogates; the others are no characters at all, by
# https://www.unicode.org/faq/private_use.html#nonchar4.
_UNKEEPABLE = re.compile("[\x00\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK_LINES = re.compile(r"\n{4,}")


def clean(text: str) -> str:
    """``text`` with ``\\n`` as its only line end, without NUL, lone surrogates or a byte order mark."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    return _SURROGATE.sub("\ufffd", _UNKEEPABLE.sub("", text))


def tidy(text: str) -> str:
    """Cleaned text of a laid-out page: without spaces at the ends of lines and rows of blank lines."""
    lines = "\n".join(line.rstrip() for line in clean(text).split("\n"))
    return _BLANK_LINES.sub("\n\n\n", lines).strip("\n")
