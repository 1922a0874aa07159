"""Outlook's own wrapping of a mail (TNEF, ``winmail.dat``) to text: what it says, and what is attached to it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Any

import compressed_rtf
from tnefparse import TNEF

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.cleaning import clean
from docmill.reading.decoding import decode
from docmill.reading.html import text_of
from docmill.reading.mail import different
from docmill.reading.media import WINMAIL
from docmill.reading.rtf import rich_text
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

__all__ = ["read_body"]

BROKEN = (
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    struct.error,
    UnboundLocalError,
    OverflowError,
)


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads subject, wordings and attachments. Raises Unreadable: corrupt, too_large."""
    unread: Counter[WarningKind] = Counter()
    try:
        message = TNEF(body, do_checksum=False)
        parts = [*_subject(message), *different(list(_wordings(message, limits, unread)))]
    except BROKEN as error:
        raise Unreadable("corrupt", f"it is no whole message ({type(error).__name__}): save it again") from error
    parts += [
        attached(_text(each.long_filename()) or None, None, bytes(each.data), limits, unread)
        for each in message.attachments
    ]
    text = clean("\n\n".join(part.strip("\r\n") for part in parts if part.strip()))
    require_length(len(text), limits)
    return reading_of(text, WINMAIL, warnings=warnings_of(unread))


def _subject(message: Any) -> Iterator[str]:
    for each in message.msgprops:
        if each.name == TNEF.ATTSUBJECT and each.data:
            yield f"Subject: {_text(each.data)}"


def _wordings(message: Any, limits: Limits, unread: Counter[WarningKind]) -> Iterator[str]:
    yield _text(message.body)
    yield text_of(_text(message.htmlbody), limits, unread) if message.htmlbody else ""
    packed = message._rtfbody  # noqa: SLF001 - the public name needs a zero byte more than some files have
    yield rich_text(compressed_rtf.decompress(packed)) if packed else ""


def _text(said: Any) -> str:
    """What the library gives as text, as bytes, or as the only one of several."""
    said = said[0] if isinstance(said, list | tuple) and said else said
    return (decode(said, None).text if isinstance(said, bytes) else str(said or "")).strip("\0")
