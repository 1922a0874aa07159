"""Child processes that do not outlive their parent, and names of processes that tell whether they live."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import socket
from pathlib import Path

__all__ = ["end_with_parent", "identify", "is_gone"]

PR_SET_PDEATHSIG = 1
STARTED = 19
"""The place of a process's start, in ticks since the machine's, among what /proc tells after its name."""

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(how: signal.Signals) -> None:
    """Called in the child: asks the kernel for this signal when the parent dies, however it dies.

    A change of user clears it, so it is asked for after one.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)


def identify(name: str, beside: Path) -> str:
    """Names this process as no other ever was: ``name#PID.START.PLACE``, or the name alone where none can tell.

    A process id counts where it was given: on one host, since its start, in one namespace. ``beside`` is a folder
    that those share who may judge of each other; processes that keep theirs elsewhere are in another place.
    """
    place, started = _place(beside), _started(os.getpid())
    return name if place is None or started is None else f"{name}#{os.getpid()}.{started}.{place}"


def is_gone(identity: str, beside: Path) -> bool:
    """Whether the process of that name is known to have ended; False where it lives, and where nobody can tell."""
    pid, started, place = (*identity.rpartition("#")[2].split("."), "", "")[:3]
    if not (pid.isdecimal() and started and place) or place != _place(beside):
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OverflowError:
        return False
    except PermissionError:
        pass  # there is one, and it is another user's
    now = _started(int(pid))
    return now is not None and now != started


def _place(beside: Path) -> str | None:
    """None where the kernel does not say enough."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None
    told = "\0".join((socket.gethostname(), boot, namespace, str(beside.resolve())))
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _started(pid: int) -> str | None:
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = told.rpartition(")")[2].split()
    return fields[STARTED] if len(fields) > STARTED else None
