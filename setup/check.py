"""What must be there before anything is installed. What is missing is told with what to do about it."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import platform
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workers.stack.account import HOME, POSTGRES_USER

__all__ = ["problems"]

MACHINE = "x86_64"
OLDEST_GLIBC = (2, 28)
"""What all of the wheels in the locks are built for."""
MEGABYTE = 1_000_000


def problems(venv: Path, needed_mb: int) -> Iterator[str]:
    """Each thing that would keep docmill from being installed into ``venv``, or from running there."""
    yield from _python()
    yield from _machine()
    yield from _place(venv, needed_mb)
    yield from _scratch()
    if os.geteuid() == 0 and not os.environ.get("DOCMILL_DATABASE_URL"):
        yield from _postgres_user()


def _python() -> Iterator[str]:
    name = f"{sys.executable} ({platform.python_version()})"
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        yield f"{name} is not the usual CPython, for which there are wheels: name another as PYTHON=…"
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        package = "python{}.{}-venv".format(*sys.version_info)
        yield f"{name} lacks its module venv or ensurepip: install it (Debian and Ubuntu call it {package})"


def _machine() -> Iterator[str]:
    if sys.platform != "linux" or platform.machine() != MACHINE or sys.maxsize < 2**32:
        yield (
            f"the packages come as programs for Linux on {MACHINE}, and this is {sys.platform} on "
            f"{platform.machine()}: use such a machine, or a virtual one"
        )
        return
    glibc = _glibc()
    if glibc is None or glibc < OLDEST_GLIBC:
        has = "none" if glibc is None else "{}.{}".format(*glibc)
        yield (
            f"the packages' programs need glibc {'{}.{}'.format(*OLDEST_GLIBC)}, and this system has {has}: "
            f"use one of 2019 or later that is not built on musl (as Alpine is), or `docker compose up`"
        )


def _glibc() -> tuple[int, int] | None:
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        major, minor = version.split(".")[:2]
    except (ValueError, OSError):
        return None
    return (int(major), int(minor)) if name == "glibc" else None


def _place(venv: Path, needed_mb: int) -> Iterator[str]:
    folder = venv.absolute().parent
    if os.pathsep in str(folder):
        yield f"{folder} has a {os.pathsep!r} in it, which no virtual environment may have: move the checkout"
    if not os.access(folder, os.W_OK | os.X_OK):
        yield f"{folder} cannot be written: give it to the user {_user()}, or clone to a folder of your own"
        return
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        yield f"{folder} is on a volume whose programs may not run (noexec): clone to another"
    free_mb = shutil.disk_usage(folder).free // MEGABYTE
    if free_mb < needed_mb:
        yield f"{folder} has {free_mb} MB free, and {needed_mb} MB are needed: make room, or clone elsewhere"


def _scratch() -> Iterator[str]:
    try:
        tempfile.gettempdir()
    except FileNotFoundError:
        yield "no folder for temporary files can be written: make /tmp one, or name another as TMPDIR"
    try:
        multiprocessing.get_context("fork").Lock()
    except (ImportError, OSError):
        yield "workers need semaphores, which need a writable /dev/shm (64 KB will do): mount a tmpfs there"


def _postgres_user() -> Iterator[str]:
    """PostgreSQL does not run as root."""
    other = ", or run docmill as another user than root, or set DOCMILL_DATABASE_URL"
    if not _exists(POSTGRES_USER) and shutil.which("useradd", path=_path()) is None:
        yield f"PostgreSQL needs a user {POSTGRES_USER}, and there is no useradd to make it: make it{other}"
    try:
        subprocess.run(["true"], user=65534, group=65534, extra_groups=(), cwd="/", check=True)  # noqa: S607
    except (OSError, subprocess.SubprocessError, ValueError):
        yield f"PostgreSQL does not run as root, and this root may become no other user: allow that{other}"
    above = next(folder for folder in (HOME, *HOME.parents) if folder.exists())
    if not os.access(above, os.W_OK):
        yield f"{above} cannot be written, and PostgreSQL's programs belong below it: allow that{other}"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _path() -> str:
    return os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
