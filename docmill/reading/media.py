"""What kind of file this is: by its first bytes, then by what was declared, then by its name.

Names lie more often than bytes do: an upload called ``scan.pdf`` that starts like a PNG is a PNG.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath

HEAD = 4096
"""How many bytes from the start a kind is told by."""

PDF = "application/pdf"
HTML = "text/html"
EMAIL = "message/rfc822"
PLAIN = "text/plain"
XML = "application/xml"
ZIP = "application/zip"
OLE = "application/x-ole-storage"
RTF = "application/rtf"

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
DOCX = _OOXML + "wordprocessingml.document"
XLSX = _OOXML + "spreadsheetml.sheet"
PPTX = _OOXML + "presentationml.presentation"

XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
ODS = _ODF + "spreadsheet"
WINMAIL = "application/ms-tnef"
HEIC = "image/heic"
OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ODT = _ODF + "text"
OUTLOOK = "application/vnd.ms-outlook"
_MAINS = {"word/document": DOCX, "xl/workbook.xml": XLSX, "xl/workbook.bin": XLSB, "ppt/presentation": PPTX}
"""By what the main part of a package is called."""
PICTURES = frozenset({"image/png", "image/jpeg", "image/tiff", "image/gif", "image/bmp", "image/webp", HEIC})
"""What OCR can read."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", PDF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (OLE_SIGNATURE, OLE),
    (b"\x78\x9f\x3e\x22", WINMAIL),
    (b"{\\rtf", RTF),
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"\x1f\x8b", "application/gzip"),
    (b"\x1f\x9d", "application/x-compress"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"]\x00\x00", "application/x-lzma"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"\x7fELF", "application/x-elf"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"%!PS", "application/postscript"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
)

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"})
"""What a picture of a telephone says that it is, behind the mark of its family."""
_SUFFIXES: dict[str, str] = {
    ".pdf": PDF,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".eml": EMAIL,
    ".txt": PLAIN,
    ".text": PLAIN,
    ".log": PLAIN,
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/json",
    ".ndjson": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".docx": DOCX,
    ".xlsx": XLSX,
    ".pptx": PPTX,
    ".doc": DOC,
    ".xls": XLS,
    ".xlsb": XLSB,
    ".ppt": PPT,
    ".msg": OUTLOOK,
    ".odt": ODT,
    ".ods": ODS,
    ".odp": _ODF + "presentation",
    ".rtf": RTF,
    ".xml": XML,
    ".svg": "image/svg+xml",
    ".epub": "application/epub+zip",
    ".zip": ZIP,
    ".gz": "application/gzip",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".webp": "image/webp",
    ".heic": HEIC,
    ".heif": HEIC,
}

_IN_ZIP = frozenset(
    kind for kind in _SUFFIXES.values() if kind.startswith((_OOXML, _ODF)) or kind.endswith("+zip")
)
_IN_OLE = frozenset(
    kind for kind in _SUFFIXES.values() if kind.startswith(("application/vnd.ms-", "application/msword"))
)

_TEXTUAL = frozenset({"application/json", "application/yaml", "application/toml"})
_GENERIC = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/unknown"})
_ALIASES = {
    "application/xhtml+xml": HTML,
    "application/x-pdf": PDF,
    "text/xml": XML,
    "text/rtf": RTF,
    "application/x-ndjson": "application/json",
    "application/x-yaml": "application/yaml",
}

_MARKUP = re.compile(
    rb"(?:<!--(?:(?!-->).)*+-->\s*+)*+<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HTML = re.compile(rb"<html\b", re.IGNORECASE)
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]{0,60})[ \t]*+:[^\r\n]*+(?:\r?\n[ \t][^\r\n]++)*\r?\n")
_CHARSET = re.compile(r";\s*+charset\s*+=\s*+[\"']?([^\s\"';]+)", re.IGNORECASE)
_FIRST_HEADERS = frozenset(
    b"received return-path delivered-to from date message-id mime-version x-mozilla-status".split()
)
_MAIL_HEADERS = _FIRST_HEADERS | frozenset(b"to cc subject reply-to content-type sender".split())


def media_type(head: bytes, name: str = "", declared: str | None = None) -> str:
    """The kind of the file that starts with ``head`` (its first ``HEAD`` bytes), without parameters."""
    by_name = _SUFFIXES.get(PurePath(name.lower()).suffix)
    said = _said(declared) or by_name
    return _by_signature(head, by_name or said) or _by_markup(head, said) or said or _by_headers(head)


def office_kind(body: bytes) -> str | None:
    """The kind of the Office document that a zip archive is, by what lies in it; None for other archives."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = [name.lower() for name in archive.namelist()]
            written = _written(archive) if "mimetype" in names[:1] else ""
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, KeyError, ValueError):
        return None
    if written.startswith((_ODF, "application/epub")):
        return written.strip()
    return next((kind for start, kind in _MAINS.items() if any(name.startswith(start) for name in names)), None)


def _written(archive: zipfile.ZipFile) -> str:
    """What an OpenDocument or an e-book says that it is, in its first member."""
    with archive.open("mimetype") as member:
        return member.read(100).decode("ascii", "replace")


def is_text(kind: str) -> bool:
    """True for the kinds whose bytes are their text."""
    return kind in _TEXTUAL or (kind.startswith("text/") and kind != HTML)


def charset(declared: str | None) -> str | None:
    """The charset parameter of a declared media type."""
    match = _CHARSET.search(declared or "")
    return match[1] if match else None


def _said(declared: str | None) -> str | None:
    kind = (declared or "").partition(";")[0].strip().lower()
    # Browsers and servers fall back to text/plain, so it says no more than a name does.
    return None if kind in _GENERIC or kind == PLAIN else _ALIASES.get(kind, kind)


def _by_signature(head: bytes, said: str | None) -> str | None:
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return _inside(kind, said)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return HEIC
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    # Readers of PDF accept junk before the header (ISO 32000-2, annex I); a text may speak of it, though.
    return PDF if said == PDF and b"%PDF-" in head[:1024] else None


def _inside(container: str, said: str | None) -> str:
    """A container's bytes look alike whatever it holds, so there the name tells more."""
    if container == ZIP and said in _IN_ZIP:
        return str(said)
    return str(said) if container == OLE and said in _IN_OLE | _IN_ZIP else container


def _by_markup(head: bytes, said: str | None) -> str | None:
    # Without zero bytes and marks, markup in UTF-16 and UTF-32 reads like markup in ASCII.
    probe = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xfe\xff \t\r\n\f")
    if _MARKUP.match(probe):
        return HTML
    if probe[:5].lower() != b"<?xml":
        return None
    if said == HTML or _HTML.search(probe):
        return HTML
    return said if said == "image/svg+xml" else XML


def _by_headers(head: bytes) -> str:
    """A mail without a name: it starts with a header that mails start with, and has more of theirs."""
    first = _HEADER.match(head)
    if first is None or first[1].lower() not in _FIRST_HEADERS:
        return PLAIN
    names, at = set(), 0
    while match := _HEADER.match(head, at):
        names.add(match[1].lower())
        at = match.end()
    return EMAIL if len(names & _MAIL_HEADERS) >= 3 else PLAIN
