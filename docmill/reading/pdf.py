"""PDF to text with PDFium: what is printed on each page, and what was filled into its form fields."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from docmill.errors import Unreadable
from docmill.reading.archives import MAX_UNPACKED
from docmill.reading.cleaning import clean, tidy
from docmill.reading.media import PDF
from docmill.reading.values import MEGABYTE, Limits, Reading, reading_of, require_length

SEPARATOR = "\n\n"
"""Between two pages; ``Reading.pages`` tells the pages apart."""

# PDFium puts U+FFFE or U+0002 where it joined a word that was divided at the end of a line. Before a small
# letter the hyphen was typography; before a capital or a digit it may be part of a name or a number.
_DIVIDED = re.compile("[\ufffe\x02](?=\\w)")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f]")

_ENCRYPTED = frozenset({pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY})
_STREAM = re.compile(rb"\bstream\r?\n")
_IMAGE_PAGES_SEEN = 20


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
    text, starts = _joined(texts)
    if not text.strip():
        _require_no_bomb(body)
    return reading_of(text, PDF, pages=starts, warning=_warning(document, texts, broken))


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


def _warning(document: Any, texts: list[str], broken: list[int]) -> str | None:
    if broken:
        return f"pages that are broken and left out: {_numbers(broken)}"
    blank = [number for number, text in enumerate(texts, 1) if not text.strip()]
    scanned = [number for number in islice(blank, _IMAGE_PAGES_SEEN) if _has_image(document, number - 1)]
    if not scanned:
        return "the PDF has no text on any page" if len(blank) == len(texts) else None
    if len(blank) == len(texts):
        return "the PDF is a scan: its pages are images without text, and no OCR was done"
    return f"pages that are images without text, for which no OCR was done: {_numbers(scanned)}"


def _numbers(pages: list[int]) -> str:
    return ", ".join(map(str, pages[:10])) + (", …" if len(pages) > 10 else "")


def _has_image(document: Any, number: int) -> bool:
    page = document[number]
    try:
        return next(_images(page), None) is not None
    finally:
        page.close()


def _images(page: Any) -> Iterator[Any]:
    objects: Iterator[Any] = page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)
    return objects
