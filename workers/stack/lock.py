"""A data folder belongs to one ``docmill up`` at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docmill.errors import Misconfigured
from workers.stack.places import make_data_folder

__all__ = ["LOCK", "holder", "locked"]

LOCK = "lock"
"""A file of the data folder; it holds the process id of who has the lock."""


@contextmanager
def locked(data: Path) -> Iterator[None]:
    """Makes the data folder this process's alone. Raises Misconfigured where it is another's."""
    make_data_folder(data)
    try:
        lock = (data / LOCK).open("a+")
    except OSError as error:
        raise Misconfigured(f"{data} cannot be used ({error.strerror}): give another folder as --data") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Misconfigured(
                f"{data} is in use by another `docmill up` (process {lock.read().strip() or 'unknown'}): "
                f"stop that one (`docmill down --data {data}`), or give another folder as --data"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def holder(data: Path) -> int | None:
    """Tells which process has the data folder; None where no stack runs on it. Raises Misconfigured."""
    try:
        with (data / LOCK).open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read())
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise Misconfigured(
            f"{data / LOCK} cannot be read ({error}): name the folder of `docmill up` with --data"
        ) from error
