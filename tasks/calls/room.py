"""Room for the bytes of pictures that are under way to models: so many a process, and a call waits for its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Room"]

ROOM_BYTES = 48 * 2**20
"""Of pictures as files: as base64, in a body and in its JSON, they take some four times as much."""


class Room:
    """How many bytes may be in hand at once. Safe for threads."""

    def __init__(self, most_bytes: int = ROOM_BYTES) -> None:
        self._most = most_bytes
        self._taken = 0
        self._freed = threading.Condition()

    @property
    def taken(self) -> int:
        with self._freed:
            return self._taken

    @contextmanager
    def of(self, size: int, *, within_s: float) -> Iterator[bool]:
        """Holds room for so many bytes until the block ends, and says whether there is any.

        Waits for it at most ``within_s`` seconds. What is larger than all the room goes alone.
        """
        share = min(size, self._most)
        got = self._take(share, within_s)
        try:
            yield got
        finally:
            if got:
                self._give(share)

    def _take(self, share: int, within_s: float) -> bool:
        until = time.monotonic() + within_s
        with self._freed:
            while self._taken + share > self._most:
                left = until - time.monotonic()
                if left <= 0 or not self._freed.wait(left):
                    return False
            self._taken += share
            return True

    def _give(self, share: int) -> None:
        with self._freed:
            self._taken -= share
            self._freed.notify_all()
