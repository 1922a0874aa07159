"""Programs that are forked from one process which has loaded their code, and not started each by itself.

Seven programs of a stack load the same hundred megabytes of code, which takes each of them seconds of CPU. A fork
has it at once, and shares the memory of what nobody changes (docs/decisions/0170).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from docmill.processes import adopt_orphans, end_with_parent
from workers.stack.forking import LOADS, Given

__all__ = ["Child", "ForkServer"]

LOADED = (
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.concurrency.thread",
    "celery.worker.consumer",
    "docmill.llm.tokens:load",
    "fastapi",
    "tasks.upkeep.retention",
    "tasks.upkeep.schedules",
    "uvicorn",
    "workers.configuration",
    "workers.flower",
    "workers.lifecycle",
)
"""Modules, and what one loads beside itself. None reads settings or environment, or starts a thread."""
HARMLESS = ("HOME", "LANG", "LANGUAGE", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
"""Variables that it is given itself, beside Python's own: nothing that a program must not know."""
FORKED_WITHIN_S = 60.0
"""It may still be loading."""
ASK_EVERY_S = 0.02


class Child(Protocol):
    """A process as ``subprocess.Popen`` shows one."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...
    def wait(self, timeout: float | None = None) -> int: ...


@dataclass(kw_only=True)
class Forked:
    """A program that a fork server forked, and that is this process's child."""

    pid: int
    returncode: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                ended, status = self.pid, 0
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        give_up_at = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(ASK_EVERY_S)
        return code


class ForkServer:
    """Forks programs for this process, which becomes the parent of each.

    ``with ForkServer(log) as fork_server``. Not safe for threads. What is forked lives on when the server ends.
    """

    def __init__(self, log: Path, loads: Sequence[str] = LOADED) -> None:
        self._log = log
        self._loads = loads
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ForkServer:
        adopt_orphans()
        self._control, theirs = socket.socketpair()
        env = {name: value for name, value in os.environ.items() if name in HARMLESS or name.startswith("PYTHON")}
        env[LOADS] = " ".join(self._loads)
        with theirs, self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.stack.forking", str(theirs.fileno())],
                env=env,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(signal.SIGKILL),  # noqa: PLW1509 - the stack has no threads
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        adopt_orphans(adopts=False)

    def fork(
        self, command: Sequence[str], *, env: Mapping[str, str], log: BinaryIO, stop_with: signal.Signals
    ) -> Forked | None:
        """Runs a module with its arguments; None where the fork server does not answer, and nothing runs."""
        if self._control is None:
            return None
        given = Given(command=list(command), env=dict(env), parent=os.getpid(), stop_with=int(stop_with))
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(FORKED_WITHIN_S)
            try:
                with theirs:
                    socket.send_fds(self._control, [b"f"], [theirs.fileno(), log.fileno()])
                ours.sendall(given.as_json())
                ours.shutdown(socket.SHUT_WR)
                pid = ours.recv(32)
            except OSError:
                return None
        return Forked(pid=int(pid)) if pid else None

    def reap(self, known: Sequence[int | None]) -> None:
        """Waits for what ended that nobody else waits for: a parent that died has left it to this process."""
        if self._process is not None:
            self._process.poll()  # one that has ended would hide all others
        mine = {*known, self._process.pid if self._process else None}
        while (ended := _ended()) is not None and ended not in mine:
            os.waitpid(ended, 0)


def _ended() -> int | None:
    """A child that has ended and was not waited for, or None."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return None
    return None if found is None else found.si_pid
