"""Bytes that are text: which characters they mean."""

from __future__ import annotations

import codecs

from charset_normalizer import from_bytes

from docmill.errors import Unreadable

__all__ = ["decoded", "tidy"]

# The longer marks first: that of UTF-32 begins as that of UTF-16.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAMPLE = 64_000
"""Bytes from which an unnamed encoding is guessed."""
MOST_CONTROLS = 0.02
"""Above this share of control characters it is no text."""
LAYOUT = frozenset("\t\n\r\f\v\x1b\x85")


def decoded(body: bytes, *, legacy: str | None = None) -> str:
    """The text. ``legacy`` is the encoding to take where it is not UTF-8; without one it is guessed.

    Raises Unreadable (``unsupported`` for what is no text, ``corrupt`` for a broken encoding).
    """
    for mark, encoding in MARKS:
        if body.startswith(mark):
            return _by_mark(body.removeprefix(mark), encoding)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = body.decode(legacy, errors="replace") if legacy else _guessed(body)
    if _is_binary(text):
        raise Unreadable("unsupported", "it holds binary data and no text: submit text, HTML or PDF")
    return text


def tidy(text: str) -> str:
    """One kind of line end, and no NUL, which Postgres cannot store."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")


def _by_mark(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable(
            "corrupt", f"it begins as {encoding} and is not ({error.reason}): save it again"
        ) from error


def _guessed(body: bytes) -> str:
    best = from_bytes(body[:SAMPLE]).best()
    if best is None:
        raise Unreadable("unsupported", "its text is in no encoding that docmill knows: save it as UTF-8")
    return body.decode(best.encoding, errors="replace")


def _is_binary(text: str) -> bool:
    sample = text[:SAMPLE]
    controls = sum(1 for character in sample if character < " " and character not in LAYOUT)
    return controls > MOST_CONTROLS * len(sample)
