"""The formats that a parser reads, each by a module of its own, and the names of those that none reads yet.

A format's module has one function, ``read_body(body, *, charset, limits) -> Reading``, and is imported only
in the process that parses. To add a format, write the module and name it here.
"""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.values import Limits, Reading

_MODULES = {
    media.PDF: "docmill.reading.pdf",
    media.HTML: "docmill.reading.html",
    media.EMAIL: "docmill.reading.mail",
    media.DOCX: "docmill.reading.docx",
    media.XLSX: "docmill.reading.xlsx",
    media.PPTX: "docmill.reading.pptx",
    media.ODT: "docmill.reading.odt",
    media.RTF: "docmill.reading.rtf",
    media.OUTLOOK: "docmill.reading.outlook",
    **dict.fromkeys(media.PICTURES, "docmill.reading.image"),
}

_NAMES = {
    media.OLE: "an Office file of the old binary kind, or an encrypted one",
    media.XML: "XML",
    media.ZIP: "a zip archive",
    "application/msword": "a Word document (doc)",
    "application/vnd.ms-excel": "an Excel workbook (xls)",
    "application/vnd.ms-powerpoint": "a PowerPoint presentation (ppt)",
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (ods)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (odp)",
    "application/gzip": "a gzip file",
}

SUPPORTED = (
    "PDF, HTML, docx, xlsx, pptx, odt, rtf, e-mail (eml, msg), plain text (txt, md, csv, tsv, json) "
    "and, with OCR, pictures"
)


class FormatReader(Protocol):
    """What a format's module offers."""

    def __call__(self, body: bytes, *, charset: str | None, limits: Limits) -> Reading: ...


def require_supported(kind: str) -> None:
    """Raises Unreadable (unsupported) for a kind that no module reads; the message names it and what is read."""
    if kind not in _MODULES:
        message = f"the file is {_NAMES.get(kind, f'of the kind {kind}')}, which is not read; {SUPPORTED} are"
        raise Unreadable("unsupported", message)


def reader_for(kind: str) -> FormatReader:
    """The function that reads a supported kind. Raises ImportError where its parser is not installed."""
    return cast(FormatReader, importlib.import_module(_MODULES[kind]).read_body)
