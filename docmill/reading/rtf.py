"""Rich text to text."""

from __future__ import annotations

from striprtf.striprtf import rtf_to_text

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.media import RTF
from docmill.reading.values import Limits, Reading, reading_of, require_length


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The document's text. Raises Unreadable: corrupt, too_large."""
    try:
        # Rich text is ASCII; what lies beyond is written as escapes, in the encoding that the file itself names.
        text = clean(rtf_to_text(body.decode("latin-1"), errors="replace"))
    except (ValueError, LookupError, TypeError) as error:
        raise Unreadable("corrupt", f"it is no whole rich text ({type(error).__name__}): save it again") from error
    require_length(len(text), limits)
    return reading_of(text, RTF)
