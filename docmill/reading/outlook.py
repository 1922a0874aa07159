"""Outlook messages (MS-OXMSG) to text, as other mails are shown, with the messages that are attached to them."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import compressed_rtf
import olefile

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.cleaning import clean
from docmill.reading.decoding import decode
from docmill.reading.html import text_of
from docmill.reading.mail import different
from docmill.reading.media import OUTLOOK
from docmill.reading.rtf import rich_text
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

SUBJECT, BODY, HTML_BODY, RTF_BODY = "0037", "1000", "1013", "1009"
SENDER_NAME, SENDER_ADDRESS, SENDER_SMTP = "0C1A", "0C1F", "5D01"
SENT, DELIVERED = "0039", "0E06"
RECIPIENT_NAME, RECIPIENT_ADDRESS, RECIPIENT_SMTP = "3001", "3003", "39FE"
SHORT_NAME, LONG_NAME, TITLE, KIND, DATA, EMBEDDED = "3704", "3707", "3001", "370E", "3701", "3701000D"
"""Properties by their numbers (MS-OXPROPS)."""
TEXT, NARROW_TEXT, BINARY = "001F", "001E", "0102"
MOST_DEEP = 8
FIXED = 16
"""Bytes of one entry in a storage's list of properties of fixed size."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Sender, recipients, subject, body and attachments. Raises Unreadable: corrupt, too_large."""
    unread: Counter[WarningKind] = Counter()
    try:
        with olefile.OleFileIO(io.BytesIO(body)) as file:
            parts = _Message(file=file, storage=(), limits=limits, unread=unread).parts(MOST_DEEP)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError, AssertionError) as error:
        raise Unreadable("corrupt", f"it is no whole message ({type(error).__name__}): save it again") from error
    text = clean("\n\n".join(part.strip("\r\n") for part in parts if part.strip()))
    require_length(len(text), limits)
    return reading_of(text, OUTLOOK, warnings=warnings_of(unread))


@dataclass(frozen=True, kw_only=True)
class _Message:
    """A message in a file of storages: the file's own, or one that is attached to it."""

    file: olefile.OleFileIO
    storage: tuple[str, ...]
    limits: Limits
    unread: Counter[WarningKind]

    def parts(self, depth: int) -> list[str]:
        """Returns the headers, the body, and each attachment."""
        if depth <= 0:
            raise Unreadable("too_large", "messages are nested too deeply")
        return [self._head(), *self._bodies(), *self._attachments(depth)]

    def _head(self) -> str:
        name = self._text(SENDER_NAME)
        address = self._text(SENDER_SMTP) or self._text(SENDER_ADDRESS)
        shown: Mapping[str, str] = {
            "From": f"{name} <{address}>" if name and address and name != address else name or address,
            "To": ", ".join(filter(None, map(self._recipient, self._storages("__recip_version1.0_")))),
            "Date": self._sent(),
            "Subject": self._text(SUBJECT),
        }
        return "\n".join(f"{label}: {value}" for label, value in shown.items() if value)

    def _recipient(self, storage: tuple[str, ...]) -> str:
        return (
            self._text(RECIPIENT_SMTP, storage)
            or self._text(RECIPIENT_ADDRESS, storage)
            or self._text(RECIPIENT_NAME, storage)
        )

    def _bodies(self) -> list[str]:
        markup, rtf = self._bytes(HTML_BODY + BINARY), self._bytes(RTF_BODY + BINARY)
        html = self._text(HTML_BODY) or (decode(markup, None).text if markup else "")
        wordings = [self._text(BODY).strip(), text_of(html, self.limits, self.unread).strip() if html else ""]
        if not any(wordings) and rtf:
            wordings.append(rich_text(compressed_rtf.decompress(rtf)).strip())
        return different(wordings)

    def _attachments(self, depth: int) -> Iterator[str]:
        for storage in self._storages("__attach_version1.0_"):
            inner = (*storage, f"__substg1.0_{EMBEDDED}")
            if self.file.exists([*inner, "__properties_version1.0"]):
                message = _Message(file=self.file, storage=inner, limits=self.limits, unread=self.unread)
                yield "Attached message:\n" + "\n\n".join(message.parts(depth - 1))
                continue
            name = self._text(LONG_NAME, storage) or self._text(SHORT_NAME, storage) or self._text(TITLE, storage)
            data = self._bytes(DATA + BINARY, storage) or b""
            yield attached(name or None, self._text(KIND, storage) or None, data, self.limits, self.unread)

    # --- properties ---

    def _storages(self, prefix: str) -> list[tuple[str, ...]]:
        depth = len(self.storage) + 1
        found = (tuple(path[:depth]) for path in self.file.listdir() if len(path) > depth)
        own = (path for path in found if path[:-1] == self.storage and path[-1].startswith(prefix))
        return list(dict.fromkeys(own))

    def _text(self, number: str, storage: tuple[str, ...] | None = None) -> str:
        wide = self._bytes(number + TEXT, storage)
        if wide is not None:
            return wide.decode("utf-16-le", errors="replace").strip("\0")
        narrow = self._bytes(number + NARROW_TEXT, storage)
        return "" if narrow is None else decode(narrow.strip(b"\0"), None).text

    def _bytes(self, name: str, storage: tuple[str, ...] | None = None) -> bytes | None:
        path = [*(self.storage if storage is None else storage), f"__substg1.0_{name}"]
        if not self.file.exists(path) or self.file.get_type(path) != olefile.STGTY_STREAM:
            return None
        return bytes(self.file.openstream(path).read())

    def _sent(self) -> str:
        """When it was sent, or else delivered: a number of 100 ns since 1601 in the list of fixed properties."""
        path = [*self.storage, "__properties_version1.0"]
        listed = bytes(self.file.openstream(path).read()) if self.file.exists(path) else b""
        header = 32 if not self.storage else 24
        entries = (listed[at : at + FIXED] for at in range(header, len(listed) - FIXED + 1, FIXED))
        times = {entry[2:4][::-1].hex().upper(): int.from_bytes(entry[8:16], "little") for entry in entries}
        ticks = times.get(SENT) or times.get(DELIVERED)
        if not ticks or ticks > 3_000_000_000_000_000_000:
            return ""
        return (datetime(1601, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks // 10)).isoformat(sep=" ")
