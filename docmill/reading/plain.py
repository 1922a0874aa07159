"""Text files, whose bytes are their text. No parser runs, so they need no process of their own."""

from __future__ import annotations

from docmill.reading.cleaning import clean
from docmill.reading.decoding import decode
from docmill.reading.values import Limits, Reading, reading_of, require_length


def read_text(body: bytes, kind: str, *, charset: str | None, limits: Limits) -> Reading:
    """The text of a file of a textual kind. Raises Unreadable (unsupported for binary data, too_large)."""
    decoded = decode(body, charset)
    require_length(len(decoded.text), limits)
    return reading_of(clean(decoded.text), kind, warnings=decoded.warnings)
