"""What is attached to a mail: read where it can be, named in any case."""

from __future__ import annotations

from dataclasses import replace

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.formats import reader_for, require_supported
from docmill.reading.plain import read_text
from docmill.reading.values import Limits

_MAX_DEPTH = 8
"""Messages within messages."""


def attached(name: str | None, kind: str | None, body: bytes, limits: Limits) -> str:
    """The attachment's name and text; for one that cannot be read, its name and why."""
    told = " ".join((name or "without a name").split())
    found = media.media_type(body[: media.HEAD], name or "", kind)
    try:
        text = _text(found, body, replace(limits, max_depth=min(limits.max_depth, _MAX_DEPTH) - 1))
    except Unreadable as error:
        return f"Attachment: {told} ({found}; not read: {error})"
    return f"Attachment: {told} ({found})\n\n{text}".rstrip()


def _text(kind: str, body: bytes, limits: Limits) -> str:
    if limits.max_depth <= 0:
        raise Unreadable("too_large", "messages are nested too deeply")
    if media.is_text(kind):
        return read_text(body, kind, charset=None, limits=limits).text
    require_supported(kind)
    return reader_for(kind)(body, charset=None, limits=limits).text
