"""Files to text, each parsed in a child process that may die of it."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from docmill.errors import Misconfigured, Unreadable, UnreadableKind
from docmill.reading.formats import require_supported
from docmill.reading.media import EMAIL, HEAD, HTML, charset, is_text, media_type
from docmill.reading.plain import read_text
from docmill.reading.process import ProcessEnded, ReadingProcess
from docmill.reading.values import DEFAULT_LIMITS, Limits, Reading, reading_of, warned

_MEGABYTE = 2**20


class Reader:
    """Reads documents one after another, in one long-lived child process that is started when first needed.

    The child is replaced when it dies, after ``max_documents``, and when it holds ``max_rss_bytes`` after a
    document. Threads may share a reader (they take turns). A process that forks may go on using it on both
    sides: the forked one starts a child of its own.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        max_documents: int = 500,
        max_rss_bytes: int = 400 * _MEGABYTE,
    ) -> None:
        self.limits = limits
        self._max_documents = max_documents
        self._max_rss_bytes = max_rss_bytes
        self._process: ReadingProcess | None = None
        self._documents = 0
        self._turn = threading.Lock()
        _readers.add(self)

    def read(self, path: Path | str, *, limits: Limits | None = None, media_type: str | None = None) -> Reading:
        """The text of a file.

        ``media_type`` is what somebody declared it to be; its bytes may say otherwise. Raises Unreadable
        (encrypted, corrupt, unsupported, too_large, timeout), FileNotFoundError and other OSErrors of opening
        the file, and Misconfigured where a parser is not installed. A file without text is no error: its
        reading is ``empty``.
        """
        path = Path(path)
        limits = limits or self.limits
        return self.read_bytes(_load(path, limits), path.name, media_type, limits=limits)

    def read_bytes(
        self, body: bytes, name: str | None = None, media_type: str | None = None, *, limits: Limits | None = None
    ) -> Reading:
        """The text of a document that is in memory; as ``read`` otherwise. ``name`` helps to tell its kind."""
        limits = limits or self.limits
        _require_size(len(body), limits)
        kind = _kind(body, name or "", media_type)
        if not body:
            return _nothing(kind)
        if is_text(kind):
            return read_text(body, kind, charset=charset(media_type), limits=limits)
        require_supported(kind)
        request = {"kind": kind, "charset": charset(media_type), "limits": asdict(limits)}
        with self._turn:
            return _reading(*self._ask(request, body, limits))

    def close(self) -> None:
        """Ends the child process. The next document would start another."""
        with self._turn:
            self._retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, Any], body: bytes, limits: Limits) -> tuple[dict[str, Any], bytes]:
        process = self._running()
        try:
            header, text = process.ask(request, body, timeout_s=limits.timeout_s, max_chars=limits.max_text_chars)
        except ProcessEnded as end:
            self._process = None
            if not end.took_it and self._documents:
                return self._ask(request, body, limits)  # it ended between two documents
            raise _explained(end, limits) from end
        except BaseException:
            # An answer that nobody took, as after a time limit's exception, must not meet the next question.
            self._retire()
            raise
        self._documents += 1
        if self._is_worn(header):
            self._retire()
        return header, text

    def _running(self) -> ReadingProcess:
        if self._process is not None and not self._process.alive:
            self._retire()
        if self._process is None:
            self._process = ReadingProcess()
            self._documents = 0
        return self._process

    def _is_worn(self, header: dict[str, Any]) -> bool:
        full = self._documents >= self._max_documents
        return full or bool(header["last"]) or int(header["rss_bytes"]) > self._max_rss_bytes

    def _retire(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _forget_parent(self) -> None:
        """In a process that was just forked: its parent keeps the child, and a lock that a thread held is void."""
        self._turn = threading.Lock()
        if self._process is not None:
            self._process.abandon()
            self._process = None


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


def _forget_parents() -> None:
    for reader in list(_readers):
        reader._forget_parent()  # noqa: SLF001 - this module's own class


os.register_at_fork(after_in_child=_forget_parents)


def _nothing(kind: str) -> Reading:
    """An empty text is a text; a PDF without a byte is none."""
    if is_text(kind) or kind in (HTML, EMAIL):
        return reading_of("", kind, warnings=[warned("no_bytes")])
    raise Unreadable("corrupt", "the file has no bytes: it was lost on its way; submit it again")


def _kind(body: bytes, name: str, declared: str | None) -> str:
    return media_type(body[:HEAD], name, declared)


def _load(path: Path, limits: Limits) -> bytes:
    """The file's bytes. One that is too large is not read; opening a pipe or a device would wait for ever."""
    status = path.stat()
    if not path.is_file() and not path.is_dir():
        raise Unreadable("unsupported", "not a regular file")
    _require_size(status.st_size, limits)
    with path.open("rb") as file:
        return file.read(limits.max_bytes + 1)


def _require_size(size: int, limits: Limits) -> None:
    if size > limits.max_bytes:
        allowed = limits.max_bytes / _MEGABYTE
        raise Unreadable("too_large", f"the file has {size / _MEGABYTE:,.1f} MB; at most {allowed:,.1f} are read")


def _explained(end: ProcessEnded, limits: Limits) -> Unreadable:
    if end.expired:
        return Unreadable("timeout", f"reading it took longer than {limits.timeout_s:g} s")
    if end.out_of_memory:
        return Unreadable(
            "too_large", f"reading it takes more than {limits.memory_bytes // _MEGABYTE} MB of memory"
        )
    return Unreadable("corrupt", f"the parser crashed on it (exit code {end.exit_code})")


def _reading(header: dict[str, Any], text: bytes) -> Reading:
    if "missing" in header:
        raise Misconfigured(f"reading it needs the package {header['missing']}: install docmill[app]")
    if "unreadable" in header:
        raise Unreadable(cast(UnreadableKind, header["unreadable"]), header["message"])
    warnings = [warned(each["kind"], each["where"], count=each["count"]) for each in header["warnings"]]
    pages = tuple(header["pages"])
    return reading_of(text.decode(), header["media_type"], pages=pages, warnings=warnings)
