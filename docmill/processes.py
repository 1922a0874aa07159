"""Processes: children that end with their parent, names that tell whether one lives, and limits."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import hashlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = [
    "address_space_bytes",
    "adopt_orphans",
    "collect_seldom",
    "end_with_parent",
    "end_within",
    "give_back_memory",
    "hide",
    "identify",
    "is_gone",
    "limit_memory",
    "raise_file_limit",
    "resident_bytes",
    "show_as",
]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STARTED = 19
"""The place of a process's start, in ticks since the machine's, among what /proc tells after its name."""
COMMAND, COMMAND_END, ENVIRONMENT, ENVIRONMENT_END = 45, 46, 47, 48
"""The places there of the memory that its command line and its first environment lie in."""
FILES = 65_536
ROOM_FOR_A_STAGE = 768_000_000
"""Bytes of data that a prompt's checks may take beside what the process has: a document that takes more fails."""
STATM = Path("/proc/self/statm")
"""Where the kernel tells, in pages, what this process holds; Linux alone has it."""
SELDOM = (10_000, 10, 10)
"""How many objects there are more when the youngest are looked at for garbage, and each how many times the older.
Python's own, of 700, looks at all that is held each time it has grown by a quarter."""

_libc = ctypes.CDLL(None, use_errno=True)
_ends_at = float("inf")
"""When this process ends at the latest, by the monotonic clock; see :func:`end_within`."""


def end_with_parent(how: signal.Signals) -> None:
    """Called in the child: asks the kernel for this signal when the parent dies, however it dies.

    A change of user clears it, so it is asked for after one.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)


def end_within(seconds: float) -> None:
    """Ends this process by then, as killed, whatever it waits for; an end that comes sooner stays.

    Its log is told where each thread stood. A thread without Python sees to it, which no lock and no handler of a
    signal holds up; the kernel would spare the first process of a container.
    """
    global _ends_at  # noqa: PLW0603 - there is one end
    ends_at = time.monotonic() + seconds
    if ends_at < _ends_at:
        faulthandler.dump_traceback_later(seconds, exit=True, file=_impatient_stderr())
        _ends_at = ends_at


@cache
def _impatient_stderr() -> int:
    """A way to stderr that loses what cannot be written at once, as to a pipe that nobody empties."""
    try:
        return os.open("/proc/self/fd/2", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK)
    except OSError:  # it is closed, or a socket
        return os.open(os.devnull, os.O_WRONLY)


def adopt_orphans(*, adopts: bool = True) -> None:
    """Makes this process the parent of all that its children leave behind, and so the one that waits for them."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0)


def raise_file_limit() -> None:
    """As many files as the system allows: a connection is one, and many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def collect_seldom() -> None:
    """Has garbage looked for seldom, and never among what there is now, which stays as long as the process does.

    What a thousand open calls hold is none, and to look at all of it takes a seventh of a second, in which no
    thread of the process does anything else. Most garbage goes without being looked for.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)


def limit_memory() -> None:
    """An allocation beyond fails with MemoryError, which is a crash of one job and not of the machine.

    The hard limit stays: a child that reads files has limits of its own, and takes this one off.
    """
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = taken + ROOM_FOR_A_STAGE
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(resource.RLIMIT_DATA, (allowed, most))


def give_back_memory() -> None:
    """Returns to the system what this process has freed, where its C library can: what is freed is kept else."""
    with suppress(AttributeError):
        _libc.malloc_trim(0)


def address_space_bytes() -> int:
    """Returns what is this process's of the address space now; 0 where the system does not tell."""
    return _held(0)


def resident_bytes() -> int:
    """Returns what this process holds in memory now; 0 where the system does not tell."""
    return _held(1)


def _held(column: int) -> int:
    if sys.platform != "linux":
        return 0
    # As bytes: a process that gave up its rights loads no module, not even a codec's.
    return int(STATM.read_bytes().split()[column]) * resource.getpagesize()


def show_as(command: str) -> None:
    """Lets a fork be listed with its own command, and not with that of the process that it was forked from.

    As setproctitle(3) does it: over the command line and into the first environment after it, which must be in use
    no more. What has no room is cut; where the kernel does not say where they lie, nothing changes.
    """
    start, end, env, most = _places(COMMAND, COMMAND_END, ENVIRONMENT, ENVIRONMENT_END)
    if not 0 < start < end == env < most:
        return
    shown = command.encode(errors="replace")[: most - start - 1].ljust(end - start)  # its end tells the kernel
    ctypes.memmove(start, shown.ljust(most - start, b"\0"), most - start)


def hide(names: AbstractSet[str]) -> None:
    """Blots the values of these variables out of what /proc tells of this process to others of its user.

    This process has them as before, and so have those that it starts. Where the kernel does not say where they
    lie, nothing changes.
    """
    at, end = _places(ENVIRONMENT, ENVIRONMENT_END)
    if not 0 < at < end:
        return
    for given in names & os.environ.keys():
        os.environ[given] = os.environ[given]  # in a place of its own from now on
    for entry in ctypes.string_at(at, end - at).split(b"\0"):
        name, _, value = entry.partition(b"=")
        if os.fsdecode(name) in names:
            ctypes.memset(at + len(name) + 1, ord("x"), len(value))
        at += len(entry) + 1


def _places(*columns: int) -> tuple[int, ...]:
    """What the kernel tells of this process in these columns; zeros where it does not."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return tuple(int(fields[at]) for at in columns)
    except (OSError, LookupError, ValueError):
        return (0,) * len(columns)


def identify(name: str, beside: Path) -> str:
    """Names this process as no other ever was: ``name#PID.START.PLACE``, or the name alone where none can tell.

    A process id counts where it was given: on one host, since its start, in one namespace. ``beside`` is a folder
    that those share who may judge of each other; processes that keep theirs elsewhere are in another place.
    """
    place, started = _place(beside), _started(os.getpid())
    return name if place is None or started is None else f"{name}#{os.getpid()}.{started}.{place}"


def is_gone(identity: str, beside: Path) -> bool:
    """Returns whether the process of that name is known to have ended; False also where nobody can tell."""
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
