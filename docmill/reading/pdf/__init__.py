"""PDF to text with PDFium: what each page shows, what was filled in or written onto it, and attached files."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image

from docmill.errors import Unreadable
from docmill.reading.archives import MAX_UNPACKED
from docmill.reading.cleaning import clean
from docmill.reading.layout.composing import compose_page
from docmill.reading.layout.geometry import BLANK, PageLayout, pack_page
from docmill.reading.layout.words import Word
from docmill.reading.media import PDF
from docmill.reading.ocr.pictures import DOTS_AN_INCH
from docmill.reading.pdf.beside import attached_files, choices, form_data, notes_of
from docmill.reading.pdf.undrawn import shows_more
from docmill.reading.pdf.unseen import unseen
from docmill.reading.pdf.words import Page, page_of
from docmill.reading.values import (
    MEGABYTE,
    SEPARATOR,
    Limits,
    Reading,
    ReadingWarning,
    WarningKind,
    reading_of,
    require_length,
    require_page,
    warned,
    warnings_of,
)

GARBLED = 0.3
"""Of a page's words: so many of unknown characters make its text worthless."""
_ENCRYPTED = frozenset({pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY})
_STREAM = re.compile(rb"\bstream\r?\n")
_MOST_DOTS = 12_000_000
"""Of a page as it is drawn: larger ones are drawn with fewer dots an inch."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - a PDF has none
    """Reads the text of all pages.

    Raises Unreadable: encrypted (it needs a password), corrupt, too_large (pages, or characters).
    """
    document = _open(body)
    try:
        count = len(document)
        if count > limits.max_pages:
            raise Unreadable("too_large", f"the PDF has {count:,} pages; at most {limits.max_pages:,} are read")
        return _read_pages(document, count, body, limits)
    finally:
        document.close()


def _open(body: bytes) -> Any:
    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if error.err_code in _ENCRYPTED:
            raise Unreadable("encrypted", "the PDF is encrypted and needs a password") from error
        raise Unreadable("corrupt", f"the PDF is broken: {error}") from error
    if document.get_formtype() != pdfium.FORMTYPE_NONE:
        document.init_forms()
    return document


def _read_pages(document: Any, count: int, body: bytes, limits: Limits) -> Reading:
    pages = _Pages(document=document, limits=limits)
    texts = [pages.text(number) for number in range(count)]
    if len(pages.broken) == count:
        raise Unreadable("corrupt", "the PDF is broken: none of its pages can be loaded")
    text, starts = _joined([*texts, *pages.beside()])
    require_length(len(text), limits)
    if not text.strip():
        _require_no_bomb(body)
    scans = sorted({*pages.scans, *(number - 1 for number in pages.garbled)})
    warnings = [*_warnings(texts, pages, scans), *warnings_of(pages.unread)]
    return reading_of(text, PDF, pages=starts[:count], warnings=warnings, scans=scans, layout=pages.layout)


@dataclass(kw_only=True)
class _Pages:
    """A document's pages, one after the other, and what was met on them; they are counted from 1."""

    document: Any
    limits: Limits
    broken: list[int] = field(default_factory=list)
    garbled: list[int] = field(default_factory=list)
    """Pages whose fonts do not say which characters they draw."""
    scans: list[int] = field(default_factory=list)
    """Pages, counted from 0, that show words which their text does not have."""
    unread: Counter[WarningKind] = field(default_factory=Counter)
    layout: list[PageLayout] = field(default_factory=list)
    """Of each page so far."""
    _chars: int = 0
    _beside: list[str] = field(default_factory=list)

    def text(self, number: int) -> str:
        """Returns a page's text; empty where the page cannot be loaded, or where its text is garbage."""
        self.layout.append(BLANK)
        try:
            page = self.document[number]
            notes = list(notes_of(page, self.limits, self.unread))
            ticked = choices(page)
            with _printed(self.document, page, number) as printed:
                text = self._text(printed, number, ticked.signs)
        except pypdfium2.PdfiumError:
            self.broken.append(number + 1)
            return ""
        # What an annotation's picture shows has been read with the page.
        beside = [note.line for note in notes if not (note.drawn and _squeezed(note.line) in _squeezed(text))]
        text = "\n".join(filter(None, (text, *map(clean, (*ticked.lines, *beside)))))
        self._chars += len(text)
        require_length(self._chars, self.limits)
        return text

    def beside(self) -> list[str]:
        """Returns what the document holds beside its pages: a form's data, and files."""
        found = [*form_data(self.document), *attached_files(self.document, self.limits, self.unread)]
        return ["\n".join(found)] if found else []

    def _text(self, page: Any, number: int, signs: Sequence[Word]) -> str:
        text_page = page.get_textpage()
        try:
            if text_page.count_chars() > 2 * (self.limits.max_text_chars - self._chars) + 1000:
                raise Unreadable("too_large", f"page {number + 1} holds more text than is read")
            shown = page_of(page, text_page)
        finally:
            text_page.close()
        self.unread["hidden"] += shown.outside
        if shown.unmapped > GARBLED * max(len(shown.words), 1):
            self.garbled.append(number + 1)
            return ""
        seen = self._seen(page, shown)
        if shows_more(page, seen, width=shown.width, height=shown.height):
            self.scans.append(number)
        found = compose_page([*seen, *signs])
        self.layout[-1] = pack_page(found.places(), width=shown.width, height=shown.height, turns=shown.turns)
        return found.text

    def _seen(self, page: Any, shown: Page) -> Sequence[Word]:
        """The words without those that nobody sees."""
        doubtful = [word for word in shown.words if word.doubtful]
        if not doubtful:
            return shown.words
        hidden = unseen(page, shown, doubtful)
        self.unread["hidden"] += len(hidden)
        return [word for word in shown.words if word not in hidden]


def _squeezed(text: str) -> str:
    return "".join(text.split())


@contextmanager
def _printed(document: Any, page: Any, number: int) -> Iterator[Any]:
    """A page with its form fields and annotations printed onto it: they are no part of its text otherwise."""
    if pdfium.FPDFPage_GetAnnotCount(page.raw) and pdfium.FPDFPage_Flatten(page.raw, 0) == pdfium.FLATTEN_SUCCESS:
        page.close()
        page = document[number]
    try:
        yield page
    finally:
        page.close()


def picture_at(body: bytes, page: int, *, dots_an_inch: int = DOTS_AN_INCH) -> Image.Image:
    """Returns a page, counted from 0, as it is shown. Raises Unreadable: encrypted, corrupt, unsupported."""
    document = _open(body)
    try:
        require_page(page, len(document))
        with _printed(document, document[page], page) as printed:
            width, height = printed.get_size()
            dots = width * height * (dots_an_inch / 72) ** 2
            scale = dots_an_inch / 72 * min(1.0, (_MOST_DOTS / max(dots, 1.0)) ** 0.5)
            picture: Image.Image = printed.render(scale=scale).to_pil().convert("RGB")
            return picture
    except pypdfium2.PdfiumError as error:
        raise Unreadable("corrupt", f"page {page + 1} of the PDF is broken: {error}") from error
    finally:
        document.close()


def _require_no_bomb(body: bytes) -> None:
    """PDFium shows nothing of a page whose content unpacks to more than it bears, and does not say so.

    Raises Unreadable (too_large).
    """
    for start in _STREAM.finditer(body):
        if _unpacked(body, start.end()) > MAX_UNPACKED:
            raise Unreadable("too_large", f"a part of the PDF unpacks to more than {MAX_UNPACKED // MEGABYTE} MB")


def _unpacked(body: bytes, start: int) -> int:
    """How many bytes a stream unpacks to, counted up to a little above what is allowed."""
    unpacker, size, rest = zlib.decompressobj(), 0, body[start:]
    try:
        while size <= MAX_UNPACKED and not unpacker.eof:
            part = unpacker.decompress(rest, MEGABYTE)
            size += len(part)
            rest = unpacker.unconsumed_tail
            if not part:
                break
    except zlib.error:
        return size  # packed in another way, or damaged: PDFium's to judge
    return size


def _joined(texts: list[str]) -> tuple[str, tuple[int, ...]]:
    """The pages' texts as one, and where each starts in it."""
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + len(SEPARATOR)
    return SEPARATOR.join(texts), tuple(starts)


def _warnings(texts: list[str], pages: _Pages, scans: list[int]) -> Iterator[ReadingWarning]:
    if pages.broken:
        yield warned("page_broken", _named(pages.broken))
    if pages.garbled:
        yield warned("garbled", _named(pages.garbled))
    pictures = [number + 1 for number in scans if number + 1 not in pages.garbled]
    if pictures:
        yield warned("ocr_off", _named(pictures))
    elif not pages.garbled and not any(text.strip() for text in texts):
        yield warned("no_text")


def _named(pages: list[int]) -> list[str]:
    return [f"page {number}" for number in pages]
