"""What a stack leaves when it has stopped, and how that is removed: nothing that docmill did not make."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from workers.stack import places

__all__ = ["belongings", "remove", "unused"]

FILES = (
    "flower-password",
    "webhook-key",
    "lock",
    "ports.json",
    "ready.json",
    "simulator.json",
)
"""What a stack keeps in its data folder beside folders."""


def belongings(data: Path) -> list[Path]:
    """Lists what a stack on ``data`` made, here and elsewhere: what is marked, and files by their names.

    Root's own place may hold what other stacks use: of that nothing is listed.
    """
    if not data.is_dir():
        return []
    cluster = data / "postgres"
    elsewhere = [cluster.resolve().parent] if cluster.is_symlink() else []
    elsewhere += [(data / "sockets").resolve()] if (data / "sockets").is_symlink() else []
    marked = [folder for folder in elsewhere if (folder / places.MARK).exists()]
    if (data / places.MARK).exists() and data != places.HOME:
        return [*marked, data]
    shared = (places.CLUSTERS, places.PROGRAMS, places.SCRATCH)
    inside = sorted(data.iterdir())
    folders = [
        each for each in inside if not each.is_symlink() and (each / places.MARK).exists() and each not in shared
    ]
    links = [each for each in (cluster, data / "sockets") if each.is_symlink()]
    return [*marked, *folders, *links, *(each for each in inside if each.name in FILES)]


def remove(paths: Sequence[Path]) -> None:
    """Removes folders, files and links. Raises OSError."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def unused() -> list[Path]:
    """Lists root's own place where no stack needs it any more: programs, and what stacks that are gone left."""
    if (
        not (places.HOME / places.MARK).exists()
        or (places.HOME / "postgres").exists()
        or _run_below(places.PROGRAMS)
    ):
        return []
    return [] if any(map(_is_linked, places.CLUSTERS.glob("*"))) else [places.HOME]


def _is_linked(home: Path) -> bool:
    """Tells whether the data folder that a cluster was made for still leads to it."""
    try:
        data = Path((home / places.MARK).read_text(encoding="utf-8").removesuffix("\n"))
    except OSError:
        return False
    return (data / "postgres").resolve() == home / "postgres"


def _run_below(folder: Path) -> bool:
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            if link.readlink().is_relative_to(folder):
                return True
        except OSError:
            continue  # it has just ended
    return False
