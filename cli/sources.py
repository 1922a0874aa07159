"""What is submitted: files on this machine, and documents that lie at addresses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from docmill.errors import DocmillError, Misconfigured, NotFetched

if TYPE_CHECKING:
    from docmill.net.fetching import Fetched
    from docmill.settings import Settings

__all__ = [
    "Address",
    "Given",
    "Ready",
    "Source",
    "batched",
    "body_of",
    "files_in",
    "listed_in",
    "ready",
    "sources_in",
]

FILES_A_COMMIT = 500


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a document is fetched when its turn comes."""

    url: str
    private_hosts: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url


@dataclass(frozen=True, kw_only=True)
class Given:
    """A document that came on standard input."""

    name: str
    body: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name


Source: TypeAlias = Path | Address | Given


def sources_in(given: Sequence[str], settings: Settings, *, name: str | None = None) -> Iterator[Source]:
    """The addresses, the files, and those below the folders; ``-`` is standard input. Raises Misconfigured."""
    from docmill.net.fetching import is_address

    for each in given:
        if each == "-":
            yield Given(name=name or "stdin", body=_standard_input())
        elif is_address(each):
            yield Address(url=each, private_hosts=settings.private_fetch_hosts)
        else:
            yield from files_in([Path(each)])


def listed_in(file: str) -> list[str]:
    """The paths that a file names, one a line, or parted by NUL; ``-`` is standard input. Raises Misconfigured."""
    try:
        written = _standard_input() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read ({error.strerror}): give a file with a path a line") from error
    separator = "\0" if b"\0" in written else "\n"
    named = os.fsdecode(written).split(separator)
    return [path.removesuffix("\r") for path in named if path.strip()]


def _standard_input() -> bytes:
    """Raises Misconfigured where there is more than a document may have, or nobody sends any."""
    from docmill.bounds import MOST_BYTES

    if sys.stdin.isatty():
        raise Misconfigured("- is what comes on standard input, and nothing does: pipe a document into docmill")
    body = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise Misconfigured(f"standard input has more than {MOST_BYTES:,} bytes, which are allowed: split it")
    return body


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those below the folders, hidden ones left out. Raises Misconfigured."""
    for path in paths:
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file() and not _hidden(file, path))
        elif path.exists():
            yield path
        else:
            raise Misconfigured(f"there is no {path}: give files, or folders of files")


def batched(sources: Sequence[Source]) -> Iterator[Sequence[Source]]:
    """What is submitted in one transaction: some hundred files, or one document that is fetched."""
    files: list[Source] = []
    for source in sources:
        if isinstance(source, Address):
            yield [source]
            continue
        files.append(source)
        if len(files) == FILES_A_COMMIT:
            yield files
            files = []
    if files:
        yield files


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A document that can be taken without waiting for anybody."""

    source: Source
    fetched: Fetched | None
    """None for a file, which is read when its turn comes."""


def ready(batch: Sequence[Source], refused: dict[Source, DocmillError]) -> list[Ready]:
    """Fetches what lies at addresses: no transaction may wait for it. What cannot be had is ``refused``."""
    found = []
    for source in batch:
        try:
            found.append(Ready(source=source, fetched=_fetched(source)))
        except NotFetched as error:
            refused[source] = error
    return found


def body_of(document: Ready) -> tuple[bytes, str]:
    """The document's bytes, and its name. Raises Misconfigured where a file cannot be taken."""
    from docmill.reading import Limits

    if document.fetched is not None:
        return document.fetched.body, document.fetched.name
    if isinstance(document.source, Given):
        return document.source.body, document.source.name
    file = Path(str(document.source))
    try:
        size = file.stat().st_size
        if size > Limits().max_bytes:
            raise Misconfigured(f"{file} has {size:,} bytes; {Limits().max_bytes:,} are allowed: split it")
        return file.read_bytes(), str(document.source)
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read ({error.strerror})") from error


def _fetched(source: Source) -> Fetched | None:
    import asyncio

    from docmill.net.fetching import fetch

    if not isinstance(source, Address):
        return None
    return asyncio.run(fetch(source.url, private_hosts=source.private_hosts))


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)
