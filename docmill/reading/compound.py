"""Compound files (MS-CFB), in which Office files of the old binary kind lie: which kind one is."""

from __future__ import annotations

import io

import olefile

from docmill.reading.media import DOC, OUTLOOK, PPT, XLS

__all__ = ["compound_kind"]

_MAINS = {
    "EncryptedPackage": None,
    "__properties_version1.0": OUTLOOK,
    "WordDocument": DOC,
    "Workbook": XLS,
    "Book": XLS,
    "PowerPoint Document": PPT,
}
"""By the stream at its root that each kind has; what is encrypted is told by whoever opens it."""


def compound_kind(body: bytes) -> str | None:
    """Returns the kind of the file that a compound file is, by what lies in it; None for other ones."""
    try:
        with olefile.OleFileIO(io.BytesIO(body)) as file:
            names = {path[0] for path in file.listdir() if len(path) == 1}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, IndexError, AssertionError):
        return None  # damaged: its name says what it was
    return next((kind for name, kind in _MAINS.items() if name in names), None)
