"""What a version's files hold, by its hash: kept as files, so that a job ends with the content that it began with.

What is kept here was read from the folders that the operator named. Nothing of it comes from the database: that
knows hashes alone, and what does not fit its hash is as if it were not there.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docmill.errors import PromptError
from prompts.version import FILES, PromptVersion

__all__ = ["SETTLED_S", "Look", "age_s", "keep", "kept", "look_at", "signature_of_file"]

SETTLED_S = 0.2
"""A file that was written since may be half written: an editor, or a checkout, is at it."""
PATIENCE_S = 1.0
"""For files that are written all the time, or have times in the future."""
LOOK_EVERY_S = 0.02
DRAFT = ".draft-"

Signature = tuple[tuple[int, int, int] | None, ...]
"""Of each file when it was written, how large it is, and which it is; None where it is not there."""


def signature_of(folder: Path) -> Signature:
    """Tells an edit of a version's files from none, without reading them."""
    return tuple(signature_of_file(f"{folder}/{name}") for name in FILES)


def signature_of_file(file: str | Path) -> tuple[int, int, int] | None:
    """Returns when a file was written, how large it is and which; None where it is not there."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a path that is made anew for each look costs as much as the look
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a version's files held, and when that is known not to have changed."""

    found: PromptVersion | PromptError
    signature: Signature
    settled: bool
    """Whether the files had been left alone: a change in the same moment would show no other signature."""

    @property
    def content(self) -> bytes | None:
        """The hash of what was found; None where it does not load."""
        return self.found.content_hash if isinstance(self.found, PromptVersion) else None

    def still_holds(self, folder: Path) -> bool:
        """Returns whether it is what lies in the folder now."""
        is_there = not isinstance(self.found, PromptVersion) or self.found.folder == folder
        return is_there and self.settled and signature_of(folder) == self.signature


def look_at(name: str, version: str, folder: Path, *, patiently: bool) -> Look:
    """Reads the version as all its files hold it at one moment: ``patiently`` waits until they are left alone."""
    give_up_at = time.monotonic() + (PATIENCE_S if patiently else 0.0)
    while True:
        before = signature_of(folder)
        found = _read(name, version, folder)
        settled = age_s(before) >= SETTLED_S and signature_of(folder) == before
        if settled or time.monotonic() >= give_up_at:
            return Look(found=found, signature=before, settled=settled)
        time.sleep(LOOK_EVERY_S)


def _read(name: str, version: str, folder: Path) -> PromptVersion | PromptError:
    try:
        return PromptVersion(name, version, folder)
    except PromptError as error:
        return error


def age_s(signature: Signature) -> float:
    """Seconds since the youngest of the files was written."""
    written = max((each[0] for each in signature if each is not None), default=0)
    return (time.time_ns() - written) / 1e9


def keep(prompt: PromptVersion, home: Path) -> bool:
    """Keeps the content below ``home``, whole or not at all; False where it cannot be written.

    Whoever is killed at it leaves a draft, which nobody reads. Two at once write the same.
    """
    if _is_kept(prompt, home):
        return True
    try:
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=home))
        try:
            _write(draft / "content", prompt.files)
            _put(draft, home / prompt.content_hash.hex(), prompt)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        import structlog  # of which whoever only reads contents has no need

        structlog.get_logger().warning(
            "prompt_not_kept", prompt=str(prompt), folder=str(home), error=error.strerror
        )
    return _is_kept(prompt, home)


def _is_kept(prompt: PromptVersion, home: Path) -> bool:
    return kept(prompt.name, prompt.version, prompt.content_hash, home) is not None


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, text in files.items():
        with (folder / name).open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _put(draft: Path, folder: Path, prompt: PromptVersion) -> None:
    try:
        (draft / "content").rename(folder)
    except OSError:
        if not _is_kept(prompt, folder.parent):  # what stands there is not whole, as after a disk that was full
            folder.rename(draft / "replaced")
            (draft / "content").rename(folder)


def kept(name: str, version: str, content_hash: bytes, home: Path) -> PromptVersion | None:
    """Finds the version with the content of that hash; None where it is not kept, or is not what it was."""
    folder = home / content_hash.hex()
    found = _read(name, version, folder) if folder.is_dir() else None
    return found if isinstance(found, PromptVersion) and found.content_hash == content_hash else None
