"""From files to text: in a process of its own, with limits on time and memory."""

from __future__ import annotations

from pathlib import Path

from docmill.reading.reader import Limits, Reader, Reading

__all__ = ["Limits", "Reader", "Reading", "read"]


def read(path: Path | str, *, limits: Limits | None = None) -> Reading:
    """The text of one file; for many, one :class:`Reader` is faster.

    Raises Unreadable with ``kind`` encrypted, corrupt, unsupported, too_large or timeout; FileNotFoundError.
    """
    with Reader(limits) as reader:
        return reader.read(path)
