"""Files to text, each parsed in a child process that may die of it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from docmill.errors import Misconfigured, Unreadable
from docmill.reading.messages import Answer, Garbled, Greeting, Request
from docmill.reading.process import GaveWay, ProcessEnded, ReadingProcess
from docmill.reading.values import DEFAULT_LIMITS, Limits, Reading
from docmill.storable import storable_text

_MEGABYTE = 2**20
LONGEST_NAME = 255


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
        self,
        body: bytes,
        name: str | None = None,
        media_type: str | None = None,
        *,
        limits: Limits | None = None,
        give_way: Callable[[], bool] | None = None,
    ) -> Reading:
        """The text of a document that is in memory; as ``read`` otherwise. ``name`` helps to tell its kind.

        A document that takes long is given up, and GaveWay raised, as soon as ``give_way`` says that others wait.
        """
        limits = limits or self.limits
        _require_size(len(body), limits)
        told = (_words((name or "")[-LONGEST_NAME:]), _words((media_type or "")[:LONGEST_NAME]))
        request = Request(name=told[0], media_type=told[1], limits=limits)
        with self._turn:
            answer, text = self._ask(request, body, give_way)
            if answer.missing is not None:
                raise Misconfigured(f"reading it needs the package {answer.missing}: install docmill[app]")
            if answer.unreadable is not None:
                raise Unreadable(answer.unreadable, storable_text(answer.message))
            try:
                return answer.reading(text)
            except Garbled as error:
                self._replace()
                raise Unreadable("corrupt", f"the parser broke on it ({error})") from error

    def confinement(self) -> Greeting:
        """What the child may do. Raises Misconfigured where it cannot be started."""
        with self._turn:
            return self._running().greet()

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

    def _ask(
        self, request: Request, document: bytes, give_way: Callable[[], bool] | None, *, again: bool = True
    ) -> tuple[Answer, bytes]:
        process = self._running()
        try:
            answer, text = process.ask(request, document, give_way)
        except ProcessEnded as end:
            self._replace()
            if again and not end.took_it:
                return self._ask(request, document, give_way, again=False)  # it ended between two documents
            raise _explained(end, request.limits) from end
        except GaveWay:
            self._replace()
            raise
        except BaseException:
            # An answer that nobody took, as after a time limit's exception, must not meet the next question.
            self._retire()
            raise
        self._documents += 1
        if self._is_worn(answer):
            self._replace()
        return answer, text

    def _running(self) -> ReadingProcess:
        if self._process is None or not self._process.alive:
            self._replace()
        assert self._process is not None  # noqa: S101 - it was just made; mypy cannot know
        return self._process

    def _replace(self) -> None:
        """Starts another child at once, so that it is ready when the next document comes."""
        self._retire()
        self._process = ReadingProcess()
        self._documents = 0

    def _is_worn(self, answer: Answer) -> bool:
        return answer.last or self._documents >= self._max_documents or answer.rss_bytes > self._max_rss_bytes

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


def _words(told: str) -> str:
    """What somebody calls a document, or its kind, without half characters."""
    return told.encode("utf-8", errors="replace").decode()


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
    how = "gave no answer" if end.exit_code is None else f"ended with exit code {end.exit_code}"
    return Unreadable("corrupt", f"the parser crashed on it, and {how}: save it again")
