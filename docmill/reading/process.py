"""One child process that parses, as its parent sees it: started, spoken to, killed, and its end explained."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import docmill
from docmill.errors import Misconfigured
from docmill.reading import frames
from docmill.reading.messages import Answer, Garbled, Greeting, Request, decode, encode

Work: TypeAlias = Literal["parse", "ocr"]
"""What a child is for: to parse whole documents, or to read pictures of pages."""
COMMAND = (sys.executable, "-P", "-B", "-m", "docmill.reading.child")
"""The child's; its parent's process id and its work follow."""
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 10.0
UNDISTURBED_S = 1.0
"""A document has so long before it is asked whether others wait."""
ASK_EVERY_S = 0.25
EXIT_TIMEOUT_S = 2.0
"""From the end of its pipe to its own."""

# Where allocations fail, PDFium and other C++ code abort; the kernel kills what it has no memory for.
_OUT_OF_MEMORY = frozenset({-signal.SIGABRT, -signal.SIGKILL})


class ProcessEnded(Exception):
    """The child ended before it answered: at the deadline, for want of memory, by a crash, or by an answer that
    was none.
    """

    def __init__(self, *, exit_code: int | None, expired: bool = False, took_it: bool = True) -> None:
        super().__init__(f"the reading process ended with {exit_code}")
        self.took_it = took_it
        """Whether it had the document, and may have ended because of it."""
        self.exit_code = exit_code
        self.expired = expired
        self.out_of_memory = exit_code in _OUT_OF_MEMORY
        self.by_others = exit_code == -signal.SIGKILL and not expired
        """Whether somebody else ended it: the kernel, which looks for memory where it can, or a person."""


class GaveWay(Exception):
    """A document was put off because others waited, and not because of what it is."""


class ReadingProcess:
    """A running child. Not safe for use by two threads at once; ``docmill.reading.reader.Reader`` is.

    A thread of its own starts it and waits for its end. It must not be the caller's: the kernel's "die with
    your parent" means the *thread* that started the child, and a web server's threads come and go.
    """

    def __init__(self, work: Work = "parse") -> None:
        self._work = work
        self._popen: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        self._greeting: Greeting | None = None
        threading.Thread(target=self._keep, name="docmill-reader", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise Misconfigured(f"the reading process cannot be started: {self._failure}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

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
        patience = _Patience(request.timeout_s, give_way)
        took_it = False
        try:
            frames.send(self._input, encode(request), document, wait=patience.wait)
            took_it = True
            header, text = frames.receive(self._output, max_body=request.most_bytes, wait=patience.wait)
            return decode(Answer, header), text
        except _Expired as error:
            self.kill()
            raise ProcessEnded(exit_code=self._process.returncode, expired=True) from error
        except frames.PipeEnded as error:
            self._ended.wait(EXIT_TIMEOUT_S)
            self.kill()
            raise ProcessEnded(exit_code=self._process.returncode, took_it=took_it) from error
        except (frames.FrameBroken, Garbled) as error:
            self.kill()
            raise ProcessEnded(exit_code=None) from error

    def close(self) -> None:
        """Ends the child, if it has not ended by itself, and closes the pipes."""
        self._close_pipes()
        if not self._ended.wait(0.2):
            self.kill()

    def kill(self) -> None:
        """Ends the child at once, and closes the pipes."""
        self._close_pipes()
        with self._reaping:
            if not self._ended.is_set():
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(self._process.pid, signal.SIGKILL)
        self._ended.wait(END_TIMEOUT_S)

    def abandon(self) -> None:
        """Lets go of the child after a fork: it is the parent's, which still uses it."""
        self._close_pipes()
        # In the forked process it is no child; polling notes that it cannot be waited for.
        self._process.poll()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError("the reading process was not started")
        return self._popen

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe; mypy cannot know
        return self._process.stdin.fileno()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - as above
        return self._process.stdout.fileno()

    def _keep(self) -> None:
        try:
            self._popen = _start(self._work)
        except OSError as error:
            self._failure = error
            self._ended.set()
            return
        finally:
            self._started.set()
        pid = self._popen.pid
        # Waits without reaping, so that nobody kills a stranger who was given the same process id.
        with contextlib.suppress(ChildProcessError):  # somebody else has waited for it
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._reaping:
            self._popen.wait()
            self._ended.set()

    def _first_frame(self) -> Greeting:
        try:
            header, _ = frames.receive(self._output, max_body=0, wait=_Patience(START_TIMEOUT_S).wait)
            return decode(Greeting, header)
        except (frames.FrameBroken, Garbled, _Expired) as error:
            self.kill()
            message = f"the reading process ended at its start with {self._process.returncode}"
            raise Misconfigured(
                f"{message}: `{sys.executable} -m docmill.reading.child {os.getpid()} {self._work}` says why"
            ) from error

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class _Expired(Exception):
    """The child took too long."""


class _Patience:
    """How long is waited for the child, from now on."""

    def __init__(self, timeout_s: float, give_way: Callable[[], bool] | None = None) -> None:
        self._until = time.monotonic() + timeout_s
        self._give_way = give_way
        self._ask_at = math.inf if give_way is None else time.monotonic() + UNDISTURBED_S

    def wait(self, fd: int, event: int) -> None:
        """Returns when the child is ready. Raises _Expired and GaveWay."""
        poll = select.poll()
        poll.register(fd, event)
        while not poll.poll(max(0.0, min(self._until, self._ask_at) - time.monotonic()) * 1000):
            if time.monotonic() >= self._until:
                raise _Expired
            if self._give_way is not None and time.monotonic() >= self._ask_at:
                if self._give_way():
                    raise GaveWay
                self._ask_at = time.monotonic() + ASK_EVERY_S


def _start(work: Work) -> subprocess.Popen[bytes]:
    # Neither the folder it starts in nor the environment of the parent, with its keys, reach the child.
    popen = subprocess.Popen(
        [*COMMAND, str(os.getpid()), work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=_environment(),
        start_new_session=True,
    )
    for pipe in (popen.stdin, popen.stdout):
        assert pipe is not None  # noqa: S101 - they were opened as pipes; mypy cannot know
        os.set_blocking(pipe.fileno(), False)
    return popen


def _environment() -> dict[str, str]:
    home = str(Path(docmill.__file__).parent.parent)
    return {"PYTHONPATH": home, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
