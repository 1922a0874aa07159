"""Bytes to characters: what the bytes say of themselves first, then what was declared, then a guess.

Order: a byte order mark; UTF-16 or UTF-32 recognised by where their zero bytes stand; the declared charset;
UTF-8; UTF-8 with stray Windows-1252 bytes; and last a statistical guess, which is said to be one.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from docmill.errors import Misconfigured, Unreadable
from docmill.reading.values import ReadingWarning, warned

_SAMPLE = 64 * 1024

# The mark of UTF-32 starts with that of UTF-16, so the longer ones come first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Python calls these encodings too; no document is written in them, and some take quadratic time.
_NOT_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})

# Documents that declare these hold Windows-1252: https://encoding.spec.whatwg.org/#names-and-labels
_MEANS_CP1252 = frozenset({"ascii", "iso8859-1"})

# Bytes that no text holds, in ASCII and in what extends it; ESC stays, because ISO-2022-JP needs it.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b")) + b"\x7f"

_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH_BYTE = re.compile(rb"[\x80-\xff]")

# Windows-1250 and 1252 agree on most letters, so a short text fits both. It is taken for the far more common
# 1252 unless its words are of a language that needs 1250.
_CENTRAL_EUROPEAN = frozenset(
    {"Croatian", "Czech", "Hungarian", "Polish", "Romanian", "Slovak", "Slovene", "Slovenian"}
)


_TYPOGRAPHY = frozenset("€‚„…‘’“”–—«»°§£©®·¿¡´•™\u00a0")


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Characters, and how they were found."""

    text: str
    encoding: str
    guessed: bool = False

    @property
    def warnings(self) -> tuple[ReadingWarning, ...]:
        return (warned("encoding_guessed", [self.encoding]),) if self.guessed else ()


def decode(body: bytes, declared: str | None = None) -> Decoded:
    """The text in ``body``; ``declared`` is the charset that a header or the markup names.

    Raises Unreadable (unsupported) where the bytes are no text in any encoding.
    """
    found = _by_mark(body) or _by_zero_bytes(body) or _as_declared(body, declared) or _as_utf8(body)
    if found is None:
        _require_text(body)
        found = _mostly_utf8(body) or _guess(body)
    return found


def _by_mark(body: bytes) -> Decoded | None:
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            # A file cut off in the middle of a character is still worth reading up to there.
            text = body[len(mark) :].decode(encoding, errors="replace")
            return Decoded(text=text, encoding=encoding)
    return None


def _by_zero_bytes(body: bytes) -> Decoded | None:
    """UTF-16 or UTF-32 without a mark: Western text has its zero bytes all at the same places."""
    encoding = _wide_encoding(body[:_SAMPLE])
    if encoding is None:
        return None
    text = body.decode(encoding, errors="replace")
    if _is_clean(text[:_SAMPLE]):
        return Decoded(text=text, encoding=encoding, guessed=True)
    return None


def _wide_encoding(sample: bytes) -> str | None:
    quarter = max(1, len(sample) // 4)
    zeros = [sample[place::4].count(0) / quarter for place in range(4)]
    if sum(zeros) < 1:
        return None
    if zeros[0] < 0.2 and min(zeros[1:]) > 0.8:
        return "utf-32-le"
    if zeros[3] < 0.2 and min(zeros[:3]) > 0.8:
        return "utf-32-be"
    return "utf-16-le" if zeros[1] + zeros[3] > zeros[0] + zeros[2] else "utf-16-be"


def _is_clean(text: str) -> bool:
    odd = sum(1 for c in text if c == "\ufffd" or (ord(c) < 32 and c not in "\t\n\v\f\r") or not _assigned(c))
    return odd <= len(text) / 100


def _assigned(char: str) -> bool:
    return char.isprintable() or char.isspace() or ord(char) in range(0x200B, 0x2070)


def _as_declared(body: bytes, declared: str | None) -> Decoded | None:
    encoding = _codec_name(declared)
    if encoding is None or (encoding.startswith(("utf-16", "utf-32")) and _as_utf8_text(body)):
        return None
    try:
        return Decoded(text=body.decode(encoding), encoding=encoding)
    except (LookupError, UnicodeError):
        # The declaration is wrong: LookupError also where Python's codec is none of text, as with base64.
        return None


def _as_utf8_text(body: bytes) -> bool:
    """Whether the bytes are plainly one-byte text: two-byte text of any length that fits UTF-8 has zero bytes."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return b"\0" not in body


def _codec_name(declared: str | None) -> str | None:
    """Python's name of a declared charset, or None for one that is not known."""
    try:
        name = codecs.lookup((declared or "").strip("\"' \t")).name
    except (LookupError, ValueError):
        return None
    if name in _MEANS_CP1252:
        return "cp1252"
    return None if name.replace("-", "_") in _NOT_CHARSETS else name


def _as_utf8(body: bytes) -> Decoded | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    _require_text(body)
    return Decoded(text=text, encoding="utf-8")


def _require_text(body: bytes) -> None:
    sample = body[:_SAMPLE]
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    if controls > len(sample) / 50 + 2:
        raise Unreadable("unsupported", "the file holds binary data of a kind that is not recognised")


def _mostly_utf8(body: bytes) -> Decoded | None:
    """UTF-8 into which lines of Windows-1252 were pasted, as exports of old databases have them."""
    sequences = len(_UTF8_SEQUENCE.findall(body))
    strays = len(_HIGH_BYTE.findall(_UTF8_SEQUENCE.sub(b"", body)))
    if sequences < max(strays, 1):
        return None
    text = body.decode("utf-8", errors="docmill-cp1252")
    return Decoded(text=text, encoding="utf-8 mixed with cp1252", guessed=True)


def _read_as_cp1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", errors="replace"), error.end


codecs.register_error("docmill-cp1252", _read_as_cp1252)


def _guess(body: bytes) -> Decoded:
    encoding = _likeliest(body[:_SAMPLE])
    return Decoded(text=body.decode(encoding, errors="replace"), encoding=encoding, guessed=True)


def _likeliest(sample: bytes) -> str:
    try:
        from charset_normalizer import from_bytes
    except ImportError as error:
        message = "texts that are not UTF-8 need the package charset-normalizer: install docmill[app]"
        raise Misconfigured(message) from error
    matches = from_bytes(sample)
    best = matches.best()
    if best is None:
        raise Unreadable("unsupported", "the file is text in no encoding that is recognised, or binary data")
    if best.language not in _CENTRAL_EUROPEAN and _reads_as_western(sample):
        return "cp1252"
    return best.encoding


def _reads_as_western(sample: bytes) -> bool:
    """Whether Windows-1252 makes letters and typographic marks of the few bytes that are not ASCII.

    Statistics need more of a text than short ones have; in other scripts most letters are not ASCII.
    """
    text = sample.decode("cp1252", errors="replace")
    high = [char for char in text if ord(char) > 127]
    letters = sum(char.isascii() and char.isalpha() for char in text)
    return letters >= len(high) and all(char.isalpha() or char in _TYPOGRAPHY for char in high)
