"""Word documents to text: paragraphs and tables in their order, with headers and footers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol
from zipfile import BadZipFile

from docx import Document
from docx.opc.exceptions import OpcError
from docx.table import Table
from lxml.etree import LxmlError

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive
from docmill.reading.cleaning import clean
from docmill.reading.media import DOCX
from docmill.reading.values import Limits, Reading, reading_of, require_length


class _Container(Protocol):
    """A body, a cell, a header or a footer."""

    def iter_inner_content(self) -> Iterator[Any]: ...


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The document's text; a table has a line a row, its cells parted by tabs.

    Raises Unreadable: encrypted, corrupt, too_large.
    """
    archive = require_archive(body)
    try:
        document = Document(archive)
        text = clean("\n".join(_lines(document)))
    except (OpcError, LxmlError, BadZipFile, KeyError, ValueError, AttributeError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole Word document ({type(error).__name__}): save it again"
        ) from error
    require_length(len(text), limits)
    return reading_of(text, DOCX)


def _lines(document: Any) -> Iterator[str]:
    furniture = {line: None for section in document.sections for line in _furniture(section)}
    yield from _content(document)
    yield from furniture


def _furniture(section: Any) -> Iterator[str]:
    """Headers and footers, which say whose paper it is."""
    for part in (section.header, section.footer):
        if not part.is_linked_to_previous:
            yield from (line for line in _content(part) if line.strip())


def _content(container: _Container) -> Iterator[str]:
    for block in container.iter_inner_content():
        if isinstance(block, Table):
            yield from _rows(block)
        else:
            yield block.text


def _rows(table: Table) -> Iterator[str]:
    for row in table.rows:
        cells = {id(cell._tc): cell for cell in row.cells}  # noqa: SLF001 - a merged cell comes once a column
        yield "\t".join(" ".join(line for line in _content(cell) if line) for cell in cells.values())
