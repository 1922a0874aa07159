"""What is submitted: files on this machine, and documents that lie at addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from docmill.errors import DocmillError, Misconfigured, NotFetched

if TYPE_CHECKING:
    from docmill.net.fetching import Fetched
    from docmill.settings import Settings

__all__ = ["Address", "Ready", "Source", "batched", "body_of", "files_in", "ready", "sources_in"]

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


Source: TypeAlias = Path | Address


def sources_in(given: Sequence[str], settings: Settings) -> Iterator[Source]:
    """The addresses, the files, and those below the folders. Raises Misconfigured."""
    from docmill.net.fetching import is_address

    for each in given:
        if is_address(each):
            yield Address(url=each, private_hosts=settings.private_fetch_hosts)
        else:
            yield from files_in([Path(each)])


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
    file = Path(str(document.source))
    size = file.stat().st_size
    if size > Limits().max_bytes:
        raise Misconfigured(f"{file} has {size:,} bytes; {Limits().max_bytes:,} are allowed: split it")
    try:
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
