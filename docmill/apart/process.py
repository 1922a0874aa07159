"""A child process as its parent sees it: started, asked one question at a time, killed, and waited for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence

from docmill.apart import frames
from docmill.apart.frames import Wait

__all__ = ["Deadline", "Expired", "ProcessApart", "ProcessEnded", "is_ready"]

END_TIMEOUT_S = 10.0
EXIT_TIMEOUT_S = 2.0
"""From the end of its pipe to its own."""

# Where allocations fail, PDFium and other C++ code abort; the kernel kills what it has no memory for.
_OUT_OF_MEMORY = frozenset({-signal.SIGABRT, -signal.SIGKILL})


class Expired(Exception):
    """The child took too long."""


class ProcessEnded(Exception):
    """The child ended before it answered: at the deadline, for want of memory, by a crash, or by an answer that
    was none.
    """

    def __init__(self, *, exit_code: int | None, expired: bool = False, took_it: bool = True) -> None:
        super().__init__(f"the process apart ended with {exit_code}")
        self.took_it = took_it
        """Whether it had the question, and may have ended because of it."""
        self.exit_code = exit_code
        self.expired = expired
        self.out_of_memory = exit_code in _OUT_OF_MEMORY
        self.by_others = exit_code == -signal.SIGKILL and not expired
        """Whether somebody else ended it: the kernel, which looks for memory where it can, or a person."""


class Deadline:
    """How long is waited for the child, from now on."""

    def __init__(self, timeout_s: float) -> None:
        self.until = time.monotonic() + timeout_s

    def wait(self, fd: int, event: int) -> None:
        """Returns when the child is ready. Raises Expired."""
        if not is_ready(fd, event, self.until):
            raise Expired


def is_ready(fd: int, event: int, until: float) -> bool:
    """Waits for the pipe, until that moment of the monotonic clock; False where it was in vain."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))


class ProcessApart:
    """A running child. Not safe for use by two threads at once.

    A thread of its own starts it and waits for its end. It must not be the caller's: the kernel's "die with
    your parent" means the *thread* that started the child, and a web server's threads come and go.
    Raises OSError where it cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], name: str, folder: str | None = None
    ) -> None:
        """``environment`` is all that the child has of one; ``folder`` is where it starts, unless that is here."""
        self._popen: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        told = (command, dict(environment), folder)
        try:
            threading.Thread(target=self._keep, args=told, name=name, daemon=True).start()
        except RuntimeError as error:
            raise OSError(str(error)) from error  # no more threads
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0 for a signal."""
        return self._process.returncode

    def speaks(self, until: float) -> bool:
        """Waits until the child has said something, or has ended; until that moment of the monotonic clock."""
        return is_ready(self._output, select.POLLIN, until)

    def greeting(self, wait: Wait) -> bytes:
        """The header of the child's first frame. Raises ProcessEnded, after which it is of no more use."""
        header, _ = self._receive(0, wait)
        return header

    def ask(self, header: bytes, body: bytes, *, max_body: int, wait: Wait) -> tuple[bytes, bytes]:
        """The child's answer to a question, each a frame's header and body; the answer's body within ``max_body``.

        Raises ProcessEnded, after which this process is of no more use, and what ``wait`` raises but Expired.
        """
        try:
            frames.send(self._input, header, body, wait=wait)
        except (Expired, frames.PipeEnded) as error:
            raise self._end(error, took_it=isinstance(error, Expired)) from error
        return self._receive(max_body, wait)

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

    def _receive(self, max_body: int, wait: Wait) -> tuple[bytes, bytes]:
        try:
            return frames.receive(self._output, max_body=max_body, wait=wait)
        except (Expired, frames.FrameBroken) as error:
            raise self._end(error) from error

    def _end(self, why: Exception, *, took_it: bool = True) -> ProcessEnded:
        """Ends the child, which is late, is gone already, or says what nobody understands."""
        is_gone = isinstance(why, frames.PipeEnded)
        if is_gone:
            self._ended.wait(EXIT_TIMEOUT_S)
        self.kill()
        expired = isinstance(why, Expired)
        exit_code = self.exit_code if is_gone or expired else None
        return ProcessEnded(exit_code=exit_code, expired=expired, took_it=took_it)

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError("the process apart was not started")
        return self._popen

    @property
    def _input(self) -> int:
        assert self._process.stdin is not None  # noqa: S101 - it was opened as a pipe; mypy cannot know
        return self._process.stdin.fileno()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - as above
        return self._process.stdout.fileno()

    def _keep(self, command: Sequence[str], environment: dict[str, str], folder: str | None) -> None:
        try:
            self._popen = _start(command, environment, folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to who wanted the process
            self._failure = error if isinstance(error, OSError) else OSError(f"{type(error).__name__}: {error}")
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

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _start(command: Sequence[str], environment: dict[str, str], folder: str | None) -> subprocess.Popen[bytes]:
    popen = subprocess.Popen(
        [*command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    for pipe in (popen.stdin, popen.stdout):
        assert pipe is not None  # noqa: S101 - they were opened as pipes; mypy cannot know
        os.set_blocking(pipe.fileno(), False)
    return popen
