"""Child processes that do not outlive their parent."""

from __future__ import annotations

import ctypes
import signal

__all__ = ["end_with_parent"]

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(how: signal.Signals) -> None:
    """Called in the child: asks the kernel for this signal when the parent dies, however it dies.

    A change of user clears it, so it is asked for after one.
    """
    _libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)
