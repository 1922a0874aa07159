"""What a process that parses other people's files may not do: write, open much, grow, outlive its parent.

The limits are Linux's; on other systems only the wall clock, which the parent keeps, stands.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docmill.processes import end_with_parent

_LINUX = sys.platform == "linux"
_OPEN_FILES = 24
_STATM = Path("/proc/self/statm")


def confine() -> None:
    """Takes from this process, for good, what no parser needs: writing files, core dumps, many open files."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))


def die_with(parent: int) -> None:
    """Lets the kernel kill this process when the thread that started it ends; exits if it is gone already."""
    if _LINUX:
        end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit(0)


@contextmanager
def memory_limit(extra_bytes: int) -> Iterator[None]:
    """Lets the address space grow by ``extra_bytes`` at most; then allocations fail.

    RLIMIT_AS counts all that RLIMIT_DATA does, and mapped files too, so one limit is enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if _LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (_pages(0) + extra_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def resident_bytes() -> int:
    """What this process holds in memory now; 0 where the system does not tell."""
    return _pages(1) if _LINUX else 0


def _pages(column: int) -> int:
    return int(_STATM.read_text().split()[column]) * resource.getpagesize()
