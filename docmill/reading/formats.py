"""A document to text, by its format's module; and the names of the formats that none reads yet.

A format's module has one function, ``read_body(body, *, charset, limits) -> Reading``, and runs only in the
process that parses. That one imports all of them before it gives up its rights, so what a module needs is imported
at its top. To add a format, write the module and name it here.
"""

from __future__ import annotations

import encodings
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Protocol, cast

from docmill.errors import Unreadable
from docmill.reading import media
from docmill.reading.compound import compound_kind
from docmill.reading.plain import read_text
from docmill.reading.values import LeftToOthers, Limits, Reading, reading_of, warned

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
    media.XML: "docmill.reading.xml",
    media.WINMAIL: "docmill.reading.tnef",
    **dict.fromkeys((media.XLS, media.XLSB, media.ODS), "docmill.reading.workbooks"),
    **dict.fromkeys(media.PICTURES, "docmill.reading.ocr.pictures"),
}

TEXTS = (media.HTML, media.EMAIL, media.RTF, media.XML)
"""Kinds of text that a module reads; those that none does have no bytes but their words."""

_NAMES = {
    media.OLE: "an Office file of the old binary kind, or an encrypted one",
    media.ZIP: "a zip archive",
    media.DOC: "a Word document of the old binary kind (doc: save it as docx)",
    media.PPT: "a PowerPoint presentation of the old binary kind (ppt: save it as pptx)",
    "application/vnd.oasis.opendocument.presentation": "an OpenDocument presentation (odp)",
    "application/gzip": "a gzip file",
}

SUPPORTED = (
    "PDF, HTML, docx, xlsx, xlsb, xls, pptx, odt, ods, rtf, e-mail (eml, msg, winmail.dat), XML, plain text (txt, "
    "md, csv, tsv, json) "
    "and, with OCR, pictures"
)


class FormatReader(Protocol):
    """What a format's module offers."""

    def __call__(self, body: bytes, *, charset: str | None, limits: Limits) -> Reading: ...


def read_document(body: bytes, *, name: str = "", media_type: str | None = None, limits: Limits) -> Reading:
    """The text of a document of any kind, told by its bytes, what it was declared to be, and its name.

    Raises Unreadable, LeftToOthers, and ImportError where its parser is not installed.
    """
    kind = media.media_type(body[: media.HEAD], name, media_type)
    if body.startswith(b"PK"):
        kind = media.office_kind(body) or kind
    if body.startswith(media.OLE_SIGNATURE):
        kind = compound_kind(body) or kind
    if not body:
        return _nothing(kind)
    charset = media.charset(media_type)
    if media.is_text(kind):
        return read_text(body, kind, charset=charset, limits=limits)
    _require_supported(kind)
    if limits.texts_only and kind not in TEXTS:
        raise LeftToOthers
    return _reader_for(kind)(body, charset=charset, limits=limits)


def _nothing(kind: str) -> Reading:
    """An empty text is a text; a PDF without a byte is none."""
    if media.is_text(kind) or kind in (media.HTML, media.EMAIL):
        return reading_of("", kind, warnings=[warned("no_bytes")])
    raise Unreadable("corrupt", "the file has no bytes: it was lost on its way; submit it again")


def _require_supported(kind: str) -> None:
    """Raises Unreadable (unsupported) for a kind that no module reads; the message names it and what is read."""
    if kind not in _MODULES:
        message = f"the file is {_NAMES.get(kind, f'of the kind {kind}')}, which is not read; {SUPPORTED} are"
        raise Unreadable("unsupported", message)


def _reader_for(kind: str) -> FormatReader:
    """The function that reads a supported kind. Raises ImportError where its parser is not installed."""
    return cast(FormatReader, importlib.import_module(_MODULES[kind]).read_body)


def preload(kinds: Iterable[str] = tuple(_MODULES)) -> None:
    """Imports all that documents of these kinds need, so that later nothing has to be opened.

    What is not installed is missed when it is asked for.
    """
    modules = [*map(_MODULES.__getitem__, kinds), "charset_normalizer", *_modules_in(encodings)]
    for module in dict.fromkeys(modules):
        with suppress(ImportError):
            importlib.import_module(module)


def _modules_in(package: ModuleType) -> Iterator[str]:
    return (f"{package.__name__}.{found.name}" for found in pkgutil.iter_modules(package.__path__))
