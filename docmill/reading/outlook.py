"""Outlook messages to text, as other mails are shown."""

from __future__ import annotations

import io
from typing import Any

from oxmsg import Message

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.cleaning import clean
from docmill.reading.html import text_of
from docmill.reading.media import OUTLOOK
from docmill.reading.values import Limits, Reading, reading_of, require_length


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Sender, subject, body and attachments. Raises Unreadable: corrupt, too_large."""
    try:
        message = Message.load(io.BytesIO(body))
        parts = [_head(message), _body(message, limits), *_attachments(message, limits)]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, AssertionError) as error:
        raise Unreadable("corrupt", f"it is no whole message ({type(error).__name__}): save it again") from error
    text = clean("\n\n".join(part.strip("\r\n") for part in parts if part.strip()))
    require_length(len(text), limits)
    return reading_of(text, OUTLOOK)


def _head(message: Any) -> str:
    recipients = ", ".join(filter(None, (recipient.email_address for recipient in message.recipients)))
    shown = {"From": message.sender, "To": recipients, "Date": message.sent_date, "Subject": message.subject}
    return "\n".join(f"{name}: {value}" for name, value in shown.items() if value)


def _body(message: Any, limits: Limits) -> str:
    if message.body:
        return str(message.body)
    return text_of(message.html_body, limits) if message.html_body else ""


def _attachments(message: Any, limits: Limits) -> list[str]:
    return [
        attached(attachment.file_name, attachment.mime_type, attachment.file_bytes or b"", limits)
        for attachment in message.attachments
    ]
