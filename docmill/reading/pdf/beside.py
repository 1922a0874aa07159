"""What a PDF holds beside the words that its pages draw: annotations, ticked boxes, XFA data, attached files."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from docmill.errors import Unreadable
from docmill.reading.attachments import attached
from docmill.reading.layout.words import Word
from docmill.reading.pdf.words import placing_of
from docmill.reading.values import MEGABYTE, Limits, WarningKind
from docmill.reading.xml import data_lines

__all__ = ["Note", "attached_files", "choices", "form_data", "notes_of"]

MOST_ANNOTATIONS = 5000
"""Of a page."""
MOST_FILES = 100
LARGEST_FILE = 20 * MEGABYTE
NOTES = {
    pdfium.FPDF_ANNOT_TEXT: "Note",
    pdfium.FPDF_ANNOT_HIGHLIGHT: "Note on highlighted words",
    pdfium.FPDF_ANNOT_UNDERLINE: "Note on underlined words",
    pdfium.FPDF_ANNOT_STRIKEOUT: "Note on words struck out",
    pdfium.FPDF_ANNOT_SQUIGGLY: "Note on marked words",
    pdfium.FPDF_ANNOT_CARET: "Note",
    pdfium.FPDF_ANNOT_SQUARE: "Note",
    pdfium.FPDF_ANNOT_CIRCLE: "Note",
    pdfium.FPDF_ANNOT_LINE: "Note",
    pdfium.FPDF_ANNOT_POLYGON: "Note",
    pdfium.FPDF_ANNOT_POLYLINE: "Note",
    pdfium.FPDF_ANNOT_INK: "Note",
    pdfium.FPDF_ANNOT_FILEATTACHMENT: "Note on a file",
}
"""Marks that somebody may have written something to, and how it is told."""
TYPED = frozenset({pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP})
READ = frozenset({*NOTES, *TYPED})
TICKED = (pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON)
_MARKS = re.compile(r"<[^<>]*>")
HIDDEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
NORMAL = pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line for what is written on a page as an annotation."""

    line: str
    drawn: bool = False
    """Whether the annotation's own picture may show the same words, which is printed onto the page."""


def notes_of(page: Any, limits: Limits, unread: Counter[WarningKind]) -> Iterator[Note]:
    """Yields what is written on a page as annotations: notes, typed words, attached files."""
    for annotation in _annotations(page):
        kind = pdfium.FPDFAnnot_GetSubtype(annotation)
        if pdfium.FPDFAnnot_GetFlags(annotation) & HIDDEN:
            unread["hidden"] += kind in READ and bool(_written(annotation))
            continue
        if kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
            file = pdfium.FPDFAnnot_GetFileAttachment(annotation)
            yield from (Note(line=line) for line in _file(file, limits, unread))
        words = _written(annotation) if kind in READ else ""
        if words:
            name = NOTES.get(kind)
            yield Note(line=f"{name}: {words}" if name else words, drawn=name is None and _is_drawn(annotation))


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The boxes of a page's forms that can be ticked."""

    signs: Sequence[Word] = ()
    """A sign for each, where it stands: they are drawn without letters."""
    lines: Sequence[str] = ()
    """What is chosen: the field's name, and the choice's."""


def choices(page: Any) -> Choices:
    """Returns which boxes of a page's forms are ticked."""
    form = page.formenv
    if form is None:
        return Choices()
    place = placing_of(page, *page.get_size())
    signs, lines = [], []
    for annotation in _annotations(page):
        if pdfium.FPDFAnnot_GetSubtype(annotation) != pdfium.FPDF_ANNOT_WIDGET:
            continue
        if pdfium.FPDFAnnot_GetFormFieldType(form.raw, annotation) not in TICKED:
            continue
        box = pdfium.FS_RECTF()
        pdfium.FPDFAnnot_GetRect(annotation, ctypes.byref(box))
        chosen = bool(pdfium.FPDFAnnot_IsChecked(form.raw, annotation))
        signs.append(place.sign("☒" if chosen else "☐", box.left, box.bottom, box.right, box.top))
        if chosen:
            lines.append(
                f"{_field(pdfium.FPDFAnnot_GetFormFieldName, form, annotation)}: {_chosen(form, annotation)}"
            )
    return Choices(signs=signs, lines=lines)


def _chosen(form: Any, annotation: Any) -> str:
    return _field(pdfium.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "yes"


def _field(read: Callable[[Any, Any, Any, int], int], form: Any, annotation: Any) -> str:
    return " ".join(_text(lambda buffer, size: read(form.raw, annotation, buffer, size)).split())


def form_data(document: Any) -> list[str]:
    """Returns the data of an XFA form, a line a field; none where the document has no such form."""
    for place in range(max(0, min(pdfium.FPDF_GetXFAPacketCount(document.raw), 100))):
        packet = _packet(document, place)
        # A form's parts lie in a packet each, or all in one.
        if b"datasets" in packet[:LARGEST_FILE]:
            return list(data_lines(packet, "datasets"))
    return []


def attached_files(document: Any, limits: Limits, unread: Counter[WarningKind]) -> Iterator[str]:
    """Yields the files that are embedded in the document, as attachments of mails are told."""
    for place in range(max(0, min(pdfium.FPDFDoc_GetAttachmentCount(document.raw), MOST_FILES))):
        yield from _file(pdfium.FPDFDoc_GetAttachment(document.raw, place), limits, unread)


def _file(attachment: Any, limits: Limits, unread: Counter[WarningKind]) -> Iterator[str]:
    if not attachment:
        return
    name = _text(lambda buffer, size: pdfium.FPDFAttachment_GetName(attachment, buffer, size))
    size = ctypes.c_ulong()
    pdfium.FPDFAttachment_GetFile(attachment, None, 0, ctypes.byref(size))
    if size.value > LARGEST_FILE:
        unread["attachment"] += 1
        yield f"Attachment: {name} (not read: it has {size.value // MEGABYTE} MB)"
        return
    buffer = ctypes.create_string_buffer(size.value)
    read = pdfium.FPDFAttachment_GetFile(attachment, buffer, size, ctypes.byref(size))
    yield attached(name, None, buffer.raw[: size.value] if read else b"", limits, unread)


def _packet(document: Any, place: int) -> bytes:
    size = ctypes.c_ulong()
    pdfium.FPDF_GetXFAPacketContent(document.raw, place, None, 0, ctypes.byref(size))
    if size.value > LARGEST_FILE:
        raise Unreadable("too_large", f"the data of its form has {size.value // MEGABYTE} MB")
    buffer = ctypes.create_string_buffer(size.value)
    pdfium.FPDF_GetXFAPacketContent(document.raw, place, buffer, size, ctypes.byref(size))
    return buffer.raw[: size.value]


def _annotations(page: Any) -> Iterator[Any]:
    for place in range(max(0, min(pdfium.FPDFPage_GetAnnotCount(page.raw), MOST_ANNOTATIONS))):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, place)
        if annotation:
            yield annotation
            pdfium.FPDFPage_CloseAnnot(annotation)


def _is_drawn(annotation: Any) -> bool:
    """Whether the annotation brings its own picture, which is printed onto the page."""
    return int(pdfium.FPDFAnnot_GetAP(annotation, NORMAL, None, 0)) > 2


def _written(annotation: Any) -> str:
    """What somebody wrote into an annotation; where it is only there as rich text, that without its marks."""
    words = " ".join(_string(annotation, b"Contents").split())
    return words or " ".join(_MARKS.sub(" ", _string(annotation, b"RC")).split())


def _string(annotation: Any, key: bytes) -> str:
    return _text(lambda buffer, size: pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, size))


def _text(read: Callable[[Any, int], int]) -> str:
    """A string that PDFium gives in UTF-16, with its length in bytes."""
    size = read(None, 0)
    buffer = (ctypes.c_ushort * (size // 2 + 1))()
    read(buffer, size)
    return bytes(buffer)[:size].decode("utf-16-le", errors="replace").rstrip("\0")
