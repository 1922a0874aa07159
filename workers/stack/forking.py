"""What runs in a fork server (:mod:`workers.stack.fork_server`): ``python -m workers.stack.forking FD``.

It loads what all programs of a stack load, once, and then forks for each of them: they share that memory, and
start in a fraction of the time. It holds no thread, no connection and no secret: what a program is given goes to
that program alone.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
from dataclasses import dataclass

from docmill.processes import end_with_parent, show_as

__all__ = ["LOADS", "Given"]

LOADS = "FORK_SERVER_LOADS"
"""The variable that names the modules to load, ``module:function`` for one with something else to load."""
ADOPTED_WITHIN_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Given:
    """What one program is given: its module with its arguments, and who looks after it."""

    command: list[str]
    env: dict[str, str]
    parent: int
    stop_with: int

    def as_json(self) -> bytes:
        return json.dumps(vars(self)).encode()


def main() -> None:
    """Forks for each request, and in the fork becomes the program that was asked for."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for name in os.environ[LOADS].split():
        module, _, function = name.partition(":")
        loaded = importlib.import_module(module)
        if function:
            getattr(loaded, function)()
    gc.collect()
    gc.freeze()  # or the first collection of each program would copy all of it
    program = _program(control)
    if program is not None:
        module, *sys.argv[1:] = program
        runpy.run_module(module, run_name="__main__", alter_sys=True)


def _program(control: socket.socket) -> list[str] | None:
    """In each fork, what it is to run; in this process None, once nobody asks for more."""
    while True:
        asked, files, *_ = socket.recv_fds(control, 1, 2)
        if not asked:
            return None
        child = os.fork()
        if child == 0:
            control.close()
            return _become(*files)
        for file in files:
            os.close(file)
        os.waitpid(child, 0)


def _become(told_by: int, log: int) -> list[str]:
    """Leaves the fork server: the stack looks after this process from here on, as if it had started it."""
    if os.fork():
        os._exit(0)
    with socket.socket(fileno=told_by) as told:
        given = Given(**json.loads(_all_of(told)))
        os.setsid()  # Ctrl-C at a terminal is for the stack to act upon, in order
        _redirect(log)
        os.environ.clear()
        os.environ.update(given.env)
        time.tzset()
        show_as(" ".join([sys.executable, "-m", *given.command]))
        _await_adoption(given.parent)
        end_with_parent(signal.Signals(given.stop_with))
        told.sendall(str(os.getpid()).encode())
    return given.command


def _all_of(told: socket.socket) -> bytes:
    found = bytearray()
    while some := told.recv(65_536):
        found += some
    return bytes(found)


def _redirect(log: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, to in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, to)
    for source in (nothing, log):
        os.close(source)


def _await_adoption(parent: int) -> None:
    """What forked this process ends at once, and who is told of it is its parent then."""
    give_up_at = time.monotonic() + ADOPTED_WITHIN_S
    while os.getppid() != parent:
        if time.monotonic() > give_up_at:
            sys.exit("the stack that asked for this program is gone")
        time.sleep(0.001)


if __name__ == "__main__":
    main()
