"""What is attached to a mail: read where it can be, named in any case."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from docmill.errors import Unreadable
from docmill.reading.formats import read_document
from docmill.reading.media import HEAD, media_type
from docmill.reading.values import Limits, WarningKind

_MAX_DEPTH = 8
"""Messages within messages."""


def attached(name: str | None, kind: str | None, body: bytes, limits: Limits, unread: Counter[WarningKind]) -> str:
    """Returns the attachment's name and text; for one that cannot be read, its name and why, and counts it."""
    told = " ".join((name or "without a name").split())
    found = media_type(body[:HEAD], name or "", kind)
    inside = replace(limits, max_depth=min(limits.max_depth, _MAX_DEPTH) - 1)
    try:
        if inside.max_depth <= 0:
            raise Unreadable("too_large", "messages are nested too deeply")
        reading = read_document(body, name=name or "", media_type=kind, limits=inside)
    except Unreadable as error:
        unread["attachment"] += 1
        return f"Attachment: {told} ({found}; not read: {error})"
    unread.update({warning.kind: warning.count for warning in reading.warnings})
    return f"Attachment: {told} ({found})\n\n{reading.text}".rstrip()
