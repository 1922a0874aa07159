"""A child process that is started, seen to be ready, started again when it dies, and stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from docmill.errors import ServiceAway
from docmill.processes import end_with_parent
from workers.stack.account import Account
from workers.stack.fork_server import Child, ForkServer

__all__ = ["ASK_EVERY_S", "NotReady", "Process"]


ASK_EVERY_S = 0.02


class NotReady(Exception):
    """What a readiness check raises while it is worth asking again."""


@dataclass(kw_only=True)
class Process:
    """One program of the stack."""

    name: str
    command: Sequence[str]
    log: Path
    check: Callable[[], None]
    """Returns once the program is ready to serve; raises NotReady until then."""
    prepare: Callable[[], None] = lambda: None
    """Run before each start."""
    env: Mapping[str, str] | None = None
    stop_with: signal.Signals = signal.SIGTERM
    stop_within_s: float = 30.0
    ready_within_s: float = 60.0
    account: Account | None = None
    fork_server: ForkServer | None = None
    """Which forks the program, where it is a module of Python's."""
    started_at: float = field(default=0.0, init=False)
    _child: Child | None = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def spawn(self) -> None:
        """Starts the program, and does not wait for it."""
        self.prepare()
        with self.log.open("ab") as log:
            self._child = self._forked(log) or self._started(log)
        self.started_at = time.monotonic()

    def _forked(self, log: BinaryIO) -> Child | None:
        *python, module = self.command[:3]
        if self.fork_server is None or python != [sys.executable, "-m"]:
            return None
        env = os.environ if self.env is None else self.env
        return self.fork_server.fork([module, *self.command[3:]], env=env, log=log, stop_with=self.stop_with)

    def _started(self, log: BinaryIO) -> Child:
        return subprocess.Popen(
            list(self.command),
            env=dict(self.env) if self.env is not None else None,
            cwd="/" if self.account else None,  # where we are may be closed to the account
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C at a terminal is for us to act upon, in order
            preexec_fn=self._become,  # noqa: PLW1509 - the stack has no threads
        )

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started_at

    def is_ready(self) -> bool:
        """Asks once. Raises ServiceAway, naming the log, where the program ended or did not come up in time."""
        try:
            self.check()
        except NotReady as error:
            if self.age_s > self.ready_within_s or not self.running:
                raise ServiceAway(f"{self.name} did not come up: {self.log} says why") from error
            return False
        return True

    def await_ready(self) -> None:
        """Raises ServiceAway, naming the log, where the program ends or does not come up in time."""
        while not self.is_ready():
            time.sleep(ASK_EVERY_S)

    def stop(self) -> None:
        """Asks the program to end, and ends it where it does not."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(self.stop_with)
        try:
            self._child.wait(self.stop_within_s)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def ask_to_stop(self) -> None:
        """Sends the signal and does not wait, so that several end side by side."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(self.stop_with)

    def _become(self) -> None:
        """Runs in the child: drops root, then asks for a signal when the parent dies."""
        if self.account is not None:
            os.setgroups([])
            os.setgid(self.account.gid)
            os.setuid(self.account.uid)
        end_with_parent(self.stop_with)
