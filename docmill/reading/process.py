"""One child process that parses, as its parent sees it: what it is asked, how long, and what it may answer."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import docmill
from docmill.apart.process import Deadline, Expired, ProcessApart, ProcessEnded, is_ready
from docmill.errors import Misconfigured
from docmill.reading.messages import Answer, Garbled, Greeting, Request, decode, encode

Work: TypeAlias = Literal["parse", "texts", "ocr"]
"""What a child is for: to parse whole documents, of all kinds or texts alone, or to read pictures of pages."""
COMMAND = (sys.executable, "-P", "-B", "-m", "docmill.reading.child")
"""The child's; its parent's process id and its work follow."""
START_TIMEOUT_S = 60.0
READY_WITHIN_S = 10.0
"""After so long nobody waits any more for a child to be ready who has other ways."""
UNDISTURBED_S = 1.0
"""A document has so long before it is asked whether others wait."""
ASK_EVERY_S = 0.25


class GaveWay(Exception):
    """A document was put off because others waited, and not because of what it is."""


class ReadingProcess:
    """A running child. Not safe for use by two threads at once; ``docmill.reading.reader.Reader`` is."""

    def __init__(self, work: Work = "parse") -> None:
        self._work = work
        self._greeting: Greeting | None = None
        self._started_at = time.monotonic()
        command = (*COMMAND, str(os.getpid()), work)
        try:
            # Neither the folder it starts in nor the environment of the parent, with its keys, reach the child.
            self._child = ProcessApart(command, environment=_environment(), name="docmill-reader", folder="/")
        except OSError as error:
            raise Misconfigured(f"the reading process cannot be started: {error}") from error

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def alive(self) -> bool:
        return self._child.alive

    def close(self) -> None:
        """Ends the child, if it has not ended by itself."""
        self._child.close()

    def abandon(self) -> None:
        """Lets go of the child after a fork: it is the parent's, which still uses it."""
        self._child.abandon()

    def is_ready(self, until: float) -> bool:
        """Whether the child has greeted, for which it has until that moment of the monotonic clock.

        Raises Misconfigured where it ends before that. One that hangs at its start keeps nobody waiting, and is
        killed after a minute, which is told the same way.
        """
        if self._greeting is not None:
            return True
        hangs = time.monotonic() > self._started_at + READY_WITHIN_S
        if not self._child.speaks(0.0 if hangs else until):
            if time.monotonic() > self._started_at + START_TIMEOUT_S:
                self._child.kill()
                raise Misconfigured(f"the reading process was not ready within {START_TIMEOUT_S:g} s: {self._why}")
            return False
        self.greet()
        return True

    def greet(self) -> Greeting:
        """Reads what the child may do, once it is ready. Raises Misconfigured where it does not come so far."""
        if self._greeting is None:
            self._greeting = self._first_frame()
        return self._greeting

    def ask(
        self, request: Request, document: bytes, give_way: Callable[[], bool] | None = None
    ) -> tuple[Answer, bytes]:
        """The child's answer about one document, and its text.

        Raises ProcessEnded and GaveWay, after which this process is of no more use, and Misconfigured where it
        never was.
        """
        self.greet()
        wait = _Patience(request.timeout_s, give_way).wait
        header, text = self._child.ask(encode(request), document, max_body=request.most_bytes, wait=wait)
        try:
            return decode(Answer, header), text
        except Garbled as error:
            self._child.kill()
            raise ProcessEnded(exit_code=None) from error

    def _first_frame(self) -> Greeting:
        try:
            return decode(Greeting, self._child.greeting(Deadline(START_TIMEOUT_S).wait))
        except (ProcessEnded, Garbled) as error:
            self._child.kill()
            message = f"the reading process ended at its start with {self._child.exit_code}"
            raise Misconfigured(f"{message}: {self._why}") from error

    @property
    def _why(self) -> str:
        return f"`{sys.executable} -m docmill.reading.child {os.getpid()} {self._work}` says why"


class _Patience(Deadline):
    """How long is waited for the child, from now on, as long as it need not give way."""

    def __init__(self, timeout_s: float, give_way: Callable[[], bool] | None) -> None:
        super().__init__(timeout_s)
        self._give_way = give_way
        self._ask_at = math.inf if give_way is None else time.monotonic() + UNDISTURBED_S

    def wait(self, fd: int, event: int) -> None:
        """Returns when the child is ready. Raises Expired and GaveWay."""
        while not is_ready(fd, event, min(self.until, self._ask_at)):
            if time.monotonic() >= self.until:
                raise Expired
            if self._give_way is not None and time.monotonic() >= self._ask_at:
                if self._give_way():
                    raise GaveWay
                self._ask_at = time.monotonic() + ASK_EVERY_S


def _environment() -> dict[str, str]:
    home = str(Path(docmill.__file__).parent.parent)
    return {"PYTHONPATH": home, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
