"""Looking at what may hang, without hanging with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Watch"]

Seen = TypeVar("Seen")


class Watch(Generic[Seen]):
    """One look at a time, in a thread of its own, however many ask for what it saw.

    So what is looked at is asked no more often than it answers, and threads for requests stay free for requests.
    """

    def __init__(self, look: Callable[[], Seen], *, within_s: float, kept_s: float = 0.0) -> None:
        """``within_s`` is how long somebody waits for a look, ``kept_s`` how long what was seen is good."""
        self._look = look
        self._within_s = within_s
        self._kept_s = kept_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="docmill-watch")
        self._lock = Lock()
        self._running: Future[Seen] | None = None
        self._began = 0.0

    async def seen(self) -> Seen:
        """Returns what was seen, or what the look raised. Raises TimeoutError where it takes longer."""
        running = asyncio.wrap_future(self._latest())
        # Whoever gives up must not end the look for the others.
        return await asyncio.wait_for(asyncio.shield(running), self._within_s)

    def _latest(self) -> Future[Seen]:
        with self._lock:
            if self._running is None or (self._running.done() and self._is_old()):
                self._began = time.monotonic()
                self._running = self._thread.submit(self._look)
            return self._running

    def _is_old(self) -> bool:
        failed = self._running is not None and self._running.exception() is not None
        return failed or time.monotonic() - self._began > self._kept_s
