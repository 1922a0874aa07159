"""Files to text, each parser confined to a process that may die of a file; pictures and scans by OCR."""

from __future__ import annotations

import atexit
from pathlib import Path

from docmill.reading.engines import installed
from docmill.reading.process import GaveWay
from docmill.reading.reader import Busy, Reader
from docmill.reading.values import DEFAULT_LIMITS, LeftToOthers, Limits, Reading, ReadingWarning

__all__ = [
    "DEFAULT_LIMITS",
    "Busy",
    "GaveWay",
    "LeftToOthers",
    "Limits",
    "Reader",
    "Reading",
    "ReadingWarning",
    "read",
    "render",
]

_shared = Reader()
atexit.register(_shared.close)


def read(path: Path | str, *, limits: Limits | None = None) -> Reading:
    """The text of a file, read by a child process that this process shares and starts when first needed.

    Without ``limits`` pictures and scanned pages are read by OCR, where its engine is installed. A file without
    text is no error: the reading is ``empty``, with a ``warning`` for a scan that was not read. Raises Unreadable
    with ``kind`` encrypted, corrupt, unsupported, too_large or timeout; FileNotFoundError and other OSErrors where
    there is no such file; Misconfigured where a parser is not installed.
    """
    return _shared.read(path, limits=limits or Limits(ocr=installed()))


def render(
    body: bytes, page: int, *, dots_an_inch: int, name: str | None = None, media_type: str | None = None
) -> bytes:
    """A page of a document, counted from 0, as it is shown: a PNG, drawn by the process that ``read`` shares.

    Raises as :meth:`Reader.render` does.
    """
    return _shared.render(body, page, dots_an_inch=dots_an_inch, name=name, media_type=media_type)
