"""What a process apart does at its start: it ends with its parent, and keeps its pipes out of others' reach."""

from __future__ import annotations

import os
import signal
import sys

from docmill.processes import end_with_parent

__all__ = ["die_with", "take_pipes"]


def die_with(parent: int) -> None:
    """Lets the kernel kill this process when the thread that started it ends; exits if it is gone already.

    Becoming another user undoes it.
    """
    if sys.platform == "linux":
        end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


def take_pipes() -> tuple[int, int]:
    """Moves the pipes away from the standard streams, so that no library's print can break the protocol."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return incoming, outgoing
