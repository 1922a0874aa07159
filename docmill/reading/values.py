"""What a reader is allowed to use, and what it hands back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

from docmill.errors import Unreadable
from docmill.reading.layout.geometry import BLANK, PageLayout, unpack
from docmill.reading.layout.merging import BREAK, found_beside
from docmill.storable import storable_text

MEGABYTE = 2**20
MOST_PLACES = 100
"""That one warning names; its count has them all."""
MOST_DOTS_AN_INCH = 600
"""Of a page that is drawn."""
LONGEST_PLACE = 200
"""In characters: a sheet or an attachment may be called anything."""


OcrEngine: TypeAlias = Literal["rapidocr", "tesseract"]
SEPARATOR = "\n\n"
"""Between two pages; ``Reading.pages`` tells them apart."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one document may cost before it is refused."""

    max_bytes: int = 50 * MEGABYTE
    """Of the file itself."""
    max_text_chars: int = 20_000_000
    """Of the text that comes out."""
    max_pages: int = 2000
    max_depth: int = 500
    """Of elements within elements in HTML, and of parts within parts in a message."""
    timeout_s: float = 30.0
    """Wall clock for one document, after which its process is killed."""
    ocr: bool = False
    """Whether the text of pictures and of scanned pages is guessed."""
    ocr_engine: OcrEngine = "rapidocr"
    texts_only: bool = False
    """Whether what is no text, or holds a file that is none, is left to another reader."""
    leave_scans: bool = False
    """Whether pages that OCR has to read are named, and left to be read one by one."""
    ocr_timeout_s: float = 60.0
    """Wall clock for one page that OCR reads, after which its process is killed."""
    ocr_within_s: float = 600.0
    """Wall clock for all such pages of a document; those that are not read by then are told."""
    ocr_memory_bytes: int = 1024 * MEGABYTE
    """As ``memory_bytes``, for such a page."""
    memory_bytes: int = 512 * MEGABYTE
    """Of address space, beyond what the reading process held before the document."""


DEFAULT_LIMITS = Limits()


class LeftToOthers(Exception):
    """The document is none of the kinds that this reader reads; another does."""


WarningKind: TypeAlias = Literal[
    "encoding_guessed",
    "no_bytes",
    "no_text",
    "page_broken",
    "garbled",
    "ocr_off",
    "ocr_guessed",
    "ocr_empty",
    "ocr_unfinished",
    "hidden",
    "hidden_cell",
    "hidden_sheet",
    "formula",
    "picture",
    "embedded",
    "attachment",
    "symbol",
]

WORDS: dict[WarningKind, str] = {
    "encoding_guessed": "the character encoding is not declared, and was guessed",
    "no_bytes": "the file has no bytes",
    "no_text": "there is no text in it",
    "page_broken": "broken, and left out",
    "garbled": "a font that does not say which characters it draws; left out",
    "ocr_off": "an image without text, and OCR is off: set DOCMILL_OCR=on",
    "ocr_guessed": "text that OCR guessed from a picture",
    "ocr_empty": "a picture in which OCR finds no text",
    "ocr_unfinished": "not read, because OCR of it took too long, too much memory, or failed",
    "hidden": "words that nobody sees, left out",
    "hidden_cell": "cells of hidden rows and columns, which are read",
    "hidden_sheet": "hidden, and left out",
    "formula": "a formula without a computed result, shown as the formula",
    "picture": "a picture within the document, whose words are not read",
    "embedded": "a file within the document, which is not read",
    "attachment": "an attachment that is not read",
    "symbol": "a character of a symbol font, which may look different",
}
"""What a warning of each kind says. A new kind needs its words here, and no more."""


@dataclass(frozen=True, kw_only=True)
class ReadingWarning:
    """Something that the text leaves out or only guesses, so that whoever relies on it can tell."""

    kind: WarningKind
    count: int = 1
    """How often."""
    where: tuple[str, ...] = ()
    """The places, as a person would name them (``page 3``), in the document's order; at most MOST_PLACES."""

    def __str__(self) -> str:
        places = ", ".join(self.where[:10]) + (", …" if self.count > 10 else "")
        times = f" ({self.count:,} times)" if self.count > max(len(self.where), 1) else ""
        return f"{WORDS[self.kind]}{times}" + (f": {places}" if self.where else "")


def warned(kind: WarningKind, where: Iterable[str] = (), *, count: int | None = None) -> ReadingWarning:
    """A warning that counts its places, unless it happened more often than there are places to tell."""
    places = tuple(where)
    told = tuple(storable_text(place, LONGEST_PLACE) for place in places[:MOST_PLACES])
    return ReadingWarning(kind=kind, count=count or len(places) or 1, where=told)


def reading_warning(kept: Mapping[str, Any]) -> ReadingWarning:
    """A warning as it was kept: ``kind``, ``count`` and ``where``."""
    return warned(kept["kind"], kept.get("where") or (), count=kept.get("count"))


def warnings_of(counts: Mapping[WarningKind, int]) -> list[ReadingWarning]:
    """A warning for each kind that was counted at least once."""
    return [warned(kind, count=count) for kind, count in counts.items() if count]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A document as text: line ends are ``\\n``, and it holds nothing that Postgres cannot keep."""

    text: str
    pages: tuple[int, ...] = ()
    """Where each page starts in ``text``; none where the format knows no pages. An empty page starts where
    the next one does, or at the end."""
    media_type: str
    empty: bool
    """True where nothing can be read in it: no bytes, white space only, a blank page, or a scan."""
    warnings: tuple[ReadingWarning, ...] = ()
    scans: tuple[int, ...] = ()
    """Pages, counted from 0, that have no text to be trusted, and that OCR has not read."""
    layout: tuple[PageLayout, ...] = ()
    """For each page where its words stand on it; empty where the format has no pages that are laid out."""

    @property
    def warning(self) -> str | None:
        """What the text leaves out or only guesses, as a sentence for whoever relies on it."""
        return "; ".join(map(str, self.warnings)) or None


def reading_of(
    text: str,
    media_type: str,
    *,
    pages: tuple[int, ...] = (),
    warnings: Iterable[ReadingWarning] = (),
    scans: Iterable[int] = (),
    layout: Iterable[PageLayout] = (),
) -> Reading:
    """A reading whose emptiness is seen from its text."""
    return Reading(
        text=text,
        pages=pages,
        media_type=media_type,
        empty=not text.strip(),
        warnings=tuple(warnings),
        scans=tuple(scans),
        layout=tuple(layout),
    )


def reading_as_kept(
    text: str,
    media_type: str,
    *,
    pages: Iterable[int],
    layout: bytes,
    warnings: Iterable[Mapping[str, Any]] = (),
) -> Reading:
    """A reading whose layout is packed and whose warnings are JSON, as both are kept."""
    try:
        unpacked = unpack(layout) if layout else ()
    except ValueError:  # of another version of docmill's: what stands where is not known
        unpacked = ()
    told = map(reading_warning, warnings)
    return reading_of(text, media_type, pages=tuple(pages), layout=unpacked, warnings=told)


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What OCR found on a page."""

    text: str
    layout: PageLayout = BLANK


def with_scans(reading: Reading, scans: Mapping[int, Scan]) -> Reading:
    """Returns the reading with what OCR found on its scanned pages; those that are missing were not read."""
    layout = [*reading.layout] or [BLANK] * max(len(reading.pages), 1)
    texts: dict[int, str] = {}
    for page, scan in scans.items():
        texts[page], layout[page] = _found(scan, layout[page])
    edges = [*reading.pages, len(reading.text)]
    parts = [reading.text[: edges[0]]]
    starts, length = [], len(parts[0])
    for page, (start, end) in enumerate(pairwise(edges)):
        starts.append(length)
        # An empty page is the break behind it, or nothing; what follows the last page stays behind it, and the
        # page's own words behind those that OCR found beside them.
        parts.append(texts.get(page, "") + reading.text[start:end])
        length += len(parts[-1])
    kept = [warning for warning in reading.warnings if warning.kind not in ("ocr_off", "no_text", "garbled")]
    found: list[tuple[WarningKind, list[int]]] = [
        ("ocr_guessed", [page for page in texts if texts[page].strip()]),
        ("ocr_empty", [page for page in texts if not texts[page].strip()]),
        ("ocr_unfinished", [page for page in reading.scans if page not in texts]),
    ]
    warnings = [*kept, *(warned(kind, [f"page {page + 1}" for page in pages]) for kind, pages in found if pages)]
    text = "".join(parts)
    return reading_of(text, reading.media_type, pages=tuple(starts), warnings=warnings, layout=layout)


def _found(scan: Scan, own: PageLayout) -> tuple[str, PageLayout]:
    """The text that OCR found, and the page's layout; of a page with words of its own what stands beside them."""
    if not own.packed:
        return scan.text, scan.layout
    text, layout = found_beside(scan.text, scan.layout, own)
    return (text + BREAK if text else ""), layout


def require_length(chars: int, limits: Limits) -> None:
    """Raises Unreadable (too_large) where a text is longer than allowed."""
    if chars > limits.max_text_chars:
        raise Unreadable("too_large", f"the text has more than {limits.max_text_chars:,} characters")


def require_page(page: int, count: int) -> None:
    """Raises Unreadable (unsupported) where a document has no page, counted from 0, of that number."""
    if page >= count:
        raise Unreadable("unsupported", f"there is no page {page + 1}: it has {count:,}")
