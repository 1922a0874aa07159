"""One child process that parses, as its parent sees it: started, spoken to, killed, and its end explained."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import docmill
from docmill.errors import Misconfigured
from docmill.reading import frames

_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 10.0
_MAX_BYTES_A_CHAR = 4

# Where allocations fail, PDFium and other C++ code abort; the kernel kills what it has no memory for.
_OUT_OF_MEMORY = frozenset({-signal.SIGABRT, -signal.SIGKILL})


class ProcessEnded(Exception):
    """The child ended before it answered: at the deadline, for want of memory, or by a crash."""

    def __init__(self, *, exit_code: int | None, expired: bool, took_it: bool) -> None:
        super().__init__(f"the reading process ended with {exit_code}")
        self.took_it = took_it
        """Whether it had the document, and may have ended because of it."""
        self.exit_code = exit_code
        self.expired = expired
        self.out_of_memory = exit_code in _OUT_OF_MEMORY


class ReadingProcess:
    """A running child. Not safe for use by two threads at once; ``docmill.reading.reader.Reader`` is.

    A thread of its own starts it and waits for its end. It must not be the caller's: the kernel's "die with
    your parent" means the *thread* that started the child, and a web server's threads come and go.
    """

    def __init__(self) -> None:
        self._popen: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._started = threading.Event()
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        threading.Thread(target=self._keep, name="docmill-reader", daemon=True).start()
        self._started.wait()
        if self._failure is not None:
            raise Misconfigured(f"the reading process cannot be started: {self._failure}")
        try:
            self._greet()
        except BaseException:
            # Nobody else knows of the child, so an interrupt here would leave it behind.
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    def ask(
        self, header: dict[str, Any], body: bytes, *, timeout_s: float, max_chars: int
    ) -> tuple[dict[str, Any], bytes]:
        """The child's answer to one frame. Raises ProcessEnded, after which this process is of no more use."""
        expired = threading.Event()
        timer = threading.Timer(timeout_s, self._expire, [expired])
        timer.daemon = True
        timer.start()
        took_it = False
        try:
            frames.send(self._input, header, body)
            took_it = True
            return frames.receive(self._output, max_body=max_chars * _MAX_BYTES_A_CHAR)
        except frames.FrameBroken as error:
            self.close()
            raise ProcessEnded(
                exit_code=self._process.returncode, expired=expired.is_set(), took_it=took_it
            ) from error
        finally:
            timer.cancel()

    def close(self) -> None:
        """Ends the child, if it has not ended by itself, and closes the pipes."""
        self._close_pipes()
        if not self._ended.wait(0.2):
            self._kill()
        self._ended.wait(_END_TIMEOUT_S)

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
            self._popen = _start()
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

    def _greet(self) -> None:
        timer = threading.Timer(_START_TIMEOUT_S, self._kill)
        timer.daemon = True
        timer.start()
        try:
            frames.receive(self._output, max_body=0)
        except frames.FrameBroken as error:
            self._ended.wait(_END_TIMEOUT_S)
            message = f"the reading process ended at its start with {self._process.returncode}"
            raise Misconfigured(f"{message}: `{sys.executable} -m docmill.reading.child` says why") from error
        finally:
            timer.cancel()

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        self._kill()

    def _kill(self) -> None:
        with self._reaping:
            if not self._ended.is_set():
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(self._process.pid, signal.SIGKILL)

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _start() -> subprocess.Popen[bytes]:
    # Neither the folder it starts in nor the environment of the parent, with its keys, reach the child.
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-m", "docmill.reading.child", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env=_environment(),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    home = str(Path(docmill.__file__).parent.parent)
    return {"PYTHONPATH": home, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
