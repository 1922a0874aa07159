"""PDF to text with PDFium: what is printed on each page, and what was filled into its form fields."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from docmill.errors import Unreadable
from docmill.reading import ocr
from docmill.reading.archives import MAX_UNPACKED
from docmill.reading.cleaning import clean, tidy
from docmill.reading.media import PDF
from docmill.reading.values import MEGABYTE, Limits, Reading, ReadingWarning, reading_of, require_length, warned

SEPARATOR = "\n\n"
"""Between two pages; ``Reading.pages`` tells the pages apart."""

# PDFium puts U+FFFE or U+0002 where it joined a word that was divided at the end of a line. Before a small
# letter the hyphen was typography; before a capital or a digit it may be part of a name or a number.
_DIVIDED = re.compile("[\ufffe\x02](?=\\w)")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")

_ENCRYPTED = frozenset({pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY})
_STREAM = re.compile(rb"\bstream\r?\n")
_DOTS_AN_INCH = 300
_MOST_DOTS = 25_000_000
"""Of a page as it is given to OCR."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - a PDF has none
    """The text of all pages.

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
    deadline = ocr.deadline_of(limits)
    texts: list[str] = []
    broken: list[int] = []
    chars = 0
    for number in range(count):
        text = _page_text(document, number, limits.max_text_chars - chars)
        if text is None:
            broken.append(number + 1)
        texts.append(text or "")
        chars += len(texts[-1])
        require_length(chars, limits)
    if len(broken) == count:
        raise Unreadable("corrupt", "the PDF is broken: none of its pages can be loaded")
    guessed = _guess_scans(document, texts, deadline) if limits.ocr else []
    text, starts = _joined(texts)
    require_length(len(text), limits)
    if not text.strip():
        _require_no_bomb(body)
    warnings = _warnings(document, texts, broken, guessed, ocr_done=limits.ocr)
    return reading_of(text, PDF, pages=starts, warnings=warnings)


def _guess_scans(document: Any, texts: list[str], deadline: float) -> list[int]:
    """Puts what OCR finds on pages that are images without text into ``texts``; their numbers, from 1.

    Raises Unreadable: unsupported (no tesseract), timeout.
    """
    guessed = []
    for at, text in enumerate(texts):
        if not text.strip() and _has_image(document, at):
            texts[at] = _clean(ocr.text_in(_picture(document, at), deadline=deadline))
            if texts[at].strip():
                guessed.append(at + 1)
    return guessed


def _picture(document: Any, number: int) -> bytes:
    """The page in grey, as a PGM file: https://netpbm.sourceforge.net/doc/pgm.html."""
    page = document[number]
    try:
        width, height = page.get_size()
        dots = width * height * (_DOTS_AN_INCH / 72) ** 2
        scale = _DOTS_AN_INCH / 72 * min(1.0, (_MOST_DOTS / max(dots, 1.0)) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True)
        rows = memoryview(bitmap.buffer).cast("B")
        lines = (rows[at * bitmap.stride :][: bitmap.width] for at in range(bitmap.height))
        return b"P5 %d %d 255\n" % (bitmap.width, bitmap.height) + b"".join(lines)
    finally:
        page.close()


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


def _page_text(document: Any, number: int, allowed: int) -> str | None:
    """A page's text, or None where the page cannot be loaded."""
    try:
        page = document[number]
        page = _with_fields(document, page, number)
        text_page = page.get_textpage()
    except pypdfium2.PdfiumError:
        return None
    try:
        if text_page.count_chars() > 2 * allowed + 1000:
            raise Unreadable("too_large", f"page {number + 1} holds more text than is read")
        # Not get_text_bounded: it runs neighbouring lines of a table together ("400.01" and "3").
        return _clean(text_page.get_text_range())
    finally:
        text_page.close()
        page.close()


def _with_fields(document: Any, page: Any, number: int) -> Any:
    """The page with its form fields printed onto it: they are no part of its text otherwise."""
    if page.formenv is None or page.flatten() != pdfium.FLATTEN_SUCCESS:
        return page
    page.close()
    return document[number]


def _clean(text: str) -> str:
    return tidy(_CONTROLS.sub("", clean(_DIVIDED.sub(_hyphen, text))))


def _hyphen(mark: re.Match[str]) -> str:
    return "" if mark.string[mark.end()].islower() else "-"


def _warnings(
    document: Any, texts: list[str], broken: list[int], guessed: list[int], *, ocr_done: bool
) -> Iterator[ReadingWarning]:
    if broken:
        yield warned("page_broken", _named(broken))
    if guessed:
        yield warned("ocr_guessed", _named(guessed))
    blank = [number for number, text in enumerate(texts, 1) if not text.strip() and number not in broken]
    scanned = [number for number in blank if _has_image(document, number - 1)]
    if scanned:
        yield warned("ocr_empty" if ocr_done else "ocr_off", _named(scanned))
    elif len(blank) == len(texts):
        yield warned("no_text")


def _named(pages: list[int]) -> list[str]:
    return [f"page {number}" for number in pages]


def _has_image(document: Any, number: int) -> bool:
    page = document[number]
    try:
        return next(_images(page), None) is not None
    finally:
        page.close()


def _images(page: Any) -> Iterator[Any]:
    objects: Iterator[Any] = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    return objects
