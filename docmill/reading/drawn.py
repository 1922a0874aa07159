"""Pages as pictures, drawn one after the other in the confined process, and the last ones kept by content."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cachetools import LRUCache

from docmill.errors import Unreadable
from docmill.reading.reader import Busy, Reader

__all__ = ["Drawn", "DrawnPages"]

KEPT_BYTES = 64 * 2**20
"""Of the pictures that one process keeps."""
MOST_WAITING = 8
"""Threads that wait for a page to be drawn, each with a file in its hands."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A page as a picture."""

    content: bytes = field(repr=False)
    media_type: Literal["image/png", "image/jpeg"]
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class DrawnPages:
    """Draws pages, and keeps the last ones. Safe for threads."""

    def __init__(self, reader: Reader, *, kept_bytes: int = KEPT_BYTES, most_waiting: int = MOST_WAITING) -> None:
        self._reader = reader
        self._kept: LRUCache[tuple[object, ...], Drawn] = LRUCache(
            kept_bytes, getsizeof=lambda drawn: len(drawn.content)
        )
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(most_waiting)

    def close(self) -> None:
        self._reader.close()

    def page(
        self,
        content: object,
        page: int,
        *,
        dots_an_inch: int,
        fetch: Callable[[], tuple[bytes, str | None, str | None]],
        patience_s: float = 0.0,
    ) -> Drawn:
        """Draws a page, counted from 1, of the document whose content is named.

        ``fetch`` gives its bytes, its name and its media type, and is asked where the page is not kept. Raises
        Busy after ``patience_s`` seconds of others' pages, and Unreadable.
        """
        key = (content, page, dots_an_inch)
        with self._lock:
            known = self._kept.get(key)
        if known is not None:
            return known
        if not self._places.acquire(timeout=patience_s):
            raise Busy
        try:
            drawn = self._draw(page, dots_an_inch, *fetch())
        finally:
            self._places.release()
        with self._lock:
            if len(drawn.content) <= self._kept.maxsize:
                self._kept[key] = drawn
        return drawn

    def _draw(self, page: int, dots_an_inch: int, body: bytes, name: str | None, media_type: str | None) -> Drawn:
        content = self._reader.render(
            body, page - 1, dots_an_inch=dots_an_inch, name=name, media_type=media_type, compact=True
        )
        return drawn_of(content)


def drawn_of(content: bytes) -> Drawn:
    """A picture file of our own making. Raises Unreadable (corrupt) for another's."""
    if content.startswith(b"\x89PNG") and len(content) > 24:
        width, height = struct.unpack(">II", content[16:24])
        return Drawn(content=content, media_type="image/png", width=width, height=height)
    size = _size_of_jpeg(content)
    if size is None:
        raise Unreadable("corrupt", "the page's picture is none")
    return Drawn(content=content, media_type="image/jpeg", width=size[0], height=size[1])


def _size_of_jpeg(content: bytes) -> tuple[int, int] | None:
    """Width and height out of the frame's header, which follows some segments."""
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        kind, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if 0xC0 <= kind <= 0xC3:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
