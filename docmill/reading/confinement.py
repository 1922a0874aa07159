"""What a process that parses other people's files may not do: write, call anybody, open much, grow, gain rights.

The limits are Linux's; on other systems only the wall clock, which the parent keeps, stands.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from docmill.processes import address_space_bytes

__all__ = ["confine", "memory_limit"]

_LINUX = sys.platform == "linux"
_OPEN_FILES = 24
_PRIORITY = 5
"""Below the workers and the servers, which everybody waits for."""
_PROCESSES = 16
"""Of a user of its own: itself, and what does OCR for it."""
_NOBODY = 65534
_OWN_USERS = 0x7000_0000
"""Above all that systems give to people, services and containers; a process adds its id."""

_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_CALL_NUMBER, _CALL_ARCHITECTURE = 0, 4
"""Where the kernel's ``struct seccomp_data`` has them."""
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions of the Berkeley packet filter: ``BPF_LD|BPF_W|BPF_ABS`` and so on."""
_ALLOW, _REFUSE, _KILL = 0x7FFF_0000, 0x0005_0001, 0x8000_0000
"""SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM, and SECCOMP_RET_KILL_PROCESS."""
_FOREIGN_NUMBERS = 0x4000_0000
"""From here on x86-64 has the numbers of another calling convention."""
_REFUSED: dict[str, tuple[int, tuple[int, ...]]] = {
    # socket, connect, ptrace, process_vm_readv, process_vm_writev, io_uring_setup: with the architecture's mark.
    "x86_64": (0xC000_003E, (41, 42, 101, 310, 311, 425)),
    "aarch64": (0xC000_00B7, (198, 203, 117, 270, 271, 425)),
}

_libc = ctypes.CDLL(None, use_errno=True)


def confine() -> bool:
    """Takes from this process, for good, what no parser needs; whether it still reaches the network.

    Modules must be loaded by now: the user that it becomes under root may be unable to open them.
    """
    os.nice(_PRIORITY)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    # A worker's limit is for a prompt's checks, and less than OCR takes; each request has a limit of its own.
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if not _LINUX:
        return True
    if os.geteuid() == 0:
        _leave_root()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return not _leave_network()


def _leave_root() -> None:
    """Becomes a user of its own: nobody else's files, and no other reading process, are its to touch."""
    for user in (_OWN_USERS + os.getpid(), _NOBODY):
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError:
            continue  # a container may have few users, or a root without the right to become another
        resource.setrlimit(resource.RLIMIT_NPROC, (_PROCESSES, _PROCESSES))
        return


def _leave_network() -> bool:
    """Has the kernel refuse every socket, and a look into other processes; False where it cannot."""
    mark, numbers = _REFUSED.get(platform.machine(), (0, ()))
    if not numbers:
        return False
    program = ctypes.create_string_buffer(_filter(mark, numbers))
    # struct sock_fprog: how many instructions, and where they are.
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(program))
    return bool(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(head), 0, 0) == 0)


def _filter(mark: int, refused: Sequence[int]) -> bytes:
    """A program for the kernel's filter of system calls; a jump counts the instructions that it skips."""
    left = len(refused)
    instructions = [
        (_LOAD, 0, 0, _CALL_ARCHITECTURE),
        (_IF_EQUAL, 1, 0, mark),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _CALL_NUMBER),
        (_IF_AT_LEAST, left + 1, 0, _FOREIGN_NUMBERS),
        *((_IF_EQUAL, left - at, 0, number) for at, number in enumerate(refused)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in instructions)


@contextmanager
def memory_limit(extra_bytes: int) -> Iterator[None]:
    """Lets the address space grow by ``extra_bytes`` at most; then allocations fail.

    RLIMIT_AS counts all that RLIMIT_DATA does, and mapped files too, so one limit is enough.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if _LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes() + extra_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
