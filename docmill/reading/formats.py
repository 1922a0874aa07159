"""What kind of file it is: by its first bytes, and by its name only where they do not tell."""

from __future__ import annotations

import mimetypes
import re

from docmill.errors import Unreadable

__all__ = ["SUPPORTED", "media_type"]

SUPPORTED = "text, HTML and PDF"

MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"{\\rtf", "an RTF document"),
    (b"%!PS", "a PostScript document"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
)
HTML = re.compile(rb"^\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)
HEAD = 1024
"""Bytes looked at; PDF readers accept the header anywhere in them."""


def media_type(body: bytes, name: str | None = None) -> str:
    """``application/pdf``, ``text/html`` or another ``text/…``. Raises Unreadable for what no reader takes."""
    head = body[:HEAD].removeprefix(b"\xef\xbb\xbf")
    if b"%PDF-" in head:
        return "application/pdf"
    for magic, what in MAGIC:
        if head.startswith(magic):
            raise Unreadable("unsupported", f"it is {what}: docmill reads {SUPPORTED}")
    named = mimetypes.guess_type(name or "")[0] or ""
    if named == "application/pdf":
        raise Unreadable("corrupt", "it is named a PDF and does not begin as one: save it again")
    if HTML.match(head) or named in ("text/html", "application/xhtml+xml"):
        return "text/html"
    return named if named.startswith("text/") else "text/plain"
