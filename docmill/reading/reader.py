"""Files to text, each parsed in a child process that may die of it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from docmill.apart.process import ProcessEnded
from docmill.errors import Misconfigured, Unreadable
from docmill.reading.layout.geometry import BLANK
from docmill.reading.messages import INK, NO_INK, Answer, Garbled, Greeting, Request
from docmill.reading.process import GaveWay, ReadingProcess, Work
from docmill.reading.values import DEFAULT_LIMITS, LeftToOthers, Limits, Reading, Scan, with_scans
from docmill.storable import storable_text

_MEGABYTE = 2**20
LONGEST_NAME = 255
AFTER_FAILURE_S = 10.0
"""Between two tries to start a child, of those who have other ways."""
MOST_RSS_OF_OCR = 900 * _MEGABYTE
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"


class Reader:
    """Reads documents one after another, in a long-lived child process that is started when first needed.

    Pages that only OCR can read have another child, which holds the engine's models. A child is replaced when it
    dies, after ``max_documents``, and when it holds ``max_rss_bytes`` after a document. Threads may share a reader
    (they take turns). A process that forks may go on using it on both sides: the forked one starts children of its
    own.
    """

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        max_documents: int = 5000,
        max_rss_bytes: int = 400 * _MEGABYTE,
    ) -> None:
        self.limits = limits
        parses: Work = "texts" if limits.texts_only else "parse"
        self._parser = _Child(work=parses, max_documents=max_documents, max_rss_bytes=max_rss_bytes)
        self._ocr = _Child(work="ocr", max_documents=max_documents, max_rss_bytes=MOST_RSS_OF_OCR)
        self._turn = threading.Lock()
        _readers.add(self)

    def read(self, path: Path | str, *, limits: Limits | None = None, media_type: str | None = None) -> Reading:
        """The text of a file.

        ``media_type`` is what somebody declared it to be; its bytes may say otherwise. Raises Unreadable
        (encrypted, corrupt, unsupported, too_large, timeout), FileNotFoundError and other OSErrors of opening
        the file, Misconfigured where a parser is not installed, and LeftToOthers where a reader of texts alone has
        something else. A file without text is no error: its reading is ``empty``.
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
        turn_within_s: float | None = None,
    ) -> Reading:
        """The text of a document that is in memory; as ``read`` otherwise. ``name`` helps to tell its kind.

        A document that takes long is given up, and GaveWay raised, as soon as ``give_way`` says that others wait.
        Raises Busy where others' documents are read for ``turn_within_s`` seconds, or the child is not ready by
        then; None waits for as long as it takes.
        """
        limits = limits or self.limits
        _require_size(len(body), limits)
        request = _request(name, media_type, limits)
        until = None if turn_within_s is None else time.monotonic() + turn_within_s
        with self._turn_within(turn_within_s):
            answer, text = self._parser.ask(request, body, give_way, ready_until=until)
            reading = _believed(self._parser, answer, text)
        return self._with_scans(reading, request, body) if limits.ocr and reading.scans else reading

    def read_scan(
        self,
        body: bytes,
        page: int,
        name: str | None = None,
        media_type: str | None = None,
        *,
        limits: Limits | None = None,
    ) -> Scan:
        """Reads with OCR one page, counted from 0, of ``Reading.scans``. Raises as ``read`` does."""
        request = replace(_request(name, media_type, limits or self.limits), page=page)
        with self._turn:
            answer, text = self._ocr.ask(request, body)
            found = _believed(self._ocr, answer, text)
        return Scan(text=found.text, layout=found.layout[0] if found.layout else BLANK)

    def shows_ink(self, body: bytes, page: int, name: str | None = None, media_type: str | None = None) -> bool:
        """Looks whether anything is drawn on a page (from 0) of ``Reading.scans``. Raises as ``read`` does."""
        request = replace(_request(name, media_type, self.limits), page=page, ink=True)
        with self._turn:
            answer, told = self._ocr.ask(request, body)
            _require_read(answer)
            if told not in (INK, NO_INK):
                self._ocr.replace()
                raise Unreadable("corrupt", "the parser broke on it: it does not tell what is drawn there")
        return told == INK

    def render(
        self,
        body: bytes,
        page: int,
        *,
        dots_an_inch: int,
        name: str | None = None,
        media_type: str | None = None,
        compact: bool = False,
        limits: Limits | None = None,
    ) -> bytes:
        """A page, counted from 0, as it is shown, upright: a PNG of eight bits of red, green and blue.

        A ``compact`` one of many colours is a JPEG. One that would have too many dots is drawn with fewer an inch;
        a picture is never enlarged. Raises as ``read`` does: Unreadable (unsupported) for what has no pages to be
        shown, or not so many.
        """
        limits = limits or self.limits
        _require_size(len(body), limits)
        request = _request(name, media_type, limits)
        request = replace(request, page=page, dots_an_inch=dots_an_inch, compact=compact)
        with self._turn:
            answer, picture = self._parser.ask(request, body)
            _require_read(answer)
            if not picture.startswith((PNG, JPEG) if compact else PNG):
                self._parser.replace()
                raise Unreadable("corrupt", "the parser broke on it: there is no picture")
        return picture

    def _with_scans(self, reading: Reading, request: Request, body: bytes) -> Reading:
        """Reads the scanned pages; those that cannot be read are told, unless it is all of them."""
        scans: dict[int, Scan] = {}
        failed: Unreadable | None = None
        until = time.monotonic() + request.limits.ocr_within_s
        for page in reading.scans:
            if time.monotonic() > until:
                failed = failed or Unreadable("timeout", "OCR of it takes too long: split it")
                break
            try:
                scans[page] = self.read_scan(body, page, request.name, request.media_type, limits=request.limits)
            except Unreadable as error:
                failed = failed or error
        if failed is not None and not scans and reading.empty:
            raise failed
        return with_scans(reading, scans)

    @contextmanager
    def _turn_within(self, seconds: float | None) -> Iterator[None]:
        if not self._turn.acquire(timeout=-1 if seconds is None else seconds):
            raise Busy
        try:
            yield
        finally:
            self._turn.release()

    def confinement(self) -> Greeting:
        """Returns what the child may do. Raises Misconfigured where it cannot be started."""
        with self._turn:
            return self._parser.running().greet()

    def close(self) -> None:
        """Ends the child processes. The next document would start others."""
        with self._turn:
            self._parser.retire()
            self._ocr.retire()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def forget_parent(self) -> None:
        """In a process that was just forked: its parent keeps the children; a lock that a thread held is void."""
        self._turn = threading.Lock()
        self._parser.abandon()
        self._ocr.abandon()


class Busy(Exception):
    """Others' documents are read, or their pages drawn, or the child is not ready yet: come again in a moment."""


class ReaderKilled(Unreadable):
    """Two processes that had the document were killed from outside: by the kernel for want of memory, most likely.

    That may be the document's fault, or that of whatever else runs beside it.
    """


@dataclass(kw_only=True)
class _Child:
    """A child process of a reader's, and its successors."""

    work: Work
    max_documents: int
    max_rss_bytes: int
    _process: ReadingProcess | None = None
    _spare: ReadingProcess | None = None
    """Ready in time, where processes are stopped one after another."""
    _documents: int = 0
    _not_before: float = 0.0
    """Until then nobody who has other ways tries to start one: the last one failed."""

    def ask(
        self,
        request: Request,
        document: bytes,
        give_way: Callable[[], bool] | None = None,
        *,
        ready_until: float | None = None,
        again: bool = True,
    ) -> tuple[Answer, bytes]:
        """Returns the answer about one document, and the text.

        Raises Unreadable where the child ends of it, and Busy where none is ready until that moment of the
        monotonic clock.
        """
        process = self._ready(ready_until)
        try:
            answer, text = process.ask(request, document, give_way)
        except ProcessEnded as end:
            self.replace(with_spare=end.took_it)
            # It ended between two documents, or for what the document need not have to do with.
            if again and (not end.took_it or end.by_others):
                return self.ask(request, document, give_way, ready_until=ready_until, again=False)
            raise _explained(end, request) from end
        except GaveWay:
            self.replace(with_spare=True)
            raise
        except BaseException:
            # An answer that nobody took, as after a time limit's exception, must not meet the next question.
            self.end()
            raise
        self._documents += 1
        if answer.last or self._documents >= self.max_documents or answer.rss_bytes > self.max_rss_bytes:
            self.replace()
        return answer, text

    def _ready(self, until: float | None) -> ReadingProcess:
        if until is not None and time.monotonic() < self._not_before:
            raise Busy
        try:
            process = self.running()
            if until is not None and not process.is_ready(until):
                raise Busy
        except Misconfigured:
            self._not_before = time.monotonic() + AFTER_FAILURE_S
            raise
        return process

    def running(self) -> ReadingProcess:
        """Returns the process, started if need be."""
        if self._process is None or not self._process.alive:
            self.replace()
        assert self._process is not None  # noqa: S101 - it was just made; mypy cannot know
        return self._process

    def replace(self, *, with_spare: bool = False) -> None:
        """Takes the spare process, or starts one at once, so that it is ready when the next document comes."""
        spare = self._spare if self._spare is not None and self._spare.alive else None
        self.end()
        self._process = spare or ReadingProcess(self.work)
        self._spare = ReadingProcess(self.work) if with_spare else None
        self._documents = 0

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def retire(self) -> None:
        """Ends the processes that there are."""
        self.end()
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def abandon(self) -> None:
        """Lets go of the processes after a fork."""
        for process in (self._process, self._spare):
            if process is not None:
                process.abandon()
        self._process = self._spare = None


def _believed(child: _Child, answer: Answer, text: bytes) -> Reading:
    """The reading that a child's answer is. Raises Unreadable, Misconfigured."""
    _require_read(answer)
    try:
        return answer.reading(text)
    except Garbled as error:
        child.replace()
        raise Unreadable("corrupt", f"the parser broke on it ({error})") from error


def _require_read(answer: Answer) -> None:
    if answer.is_left:
        raise LeftToOthers
    if answer.missing is not None:
        raise Misconfigured(f"reading it needs the package {answer.missing}: install docmill[app]")
    if answer.unreadable is not None:
        raise Unreadable(answer.unreadable, storable_text(answer.message))


def _request(name: str | None, media_type: str | None, limits: Limits) -> Request:
    told = (_words((name or "")[-LONGEST_NAME:]), _words((media_type or "")[:LONGEST_NAME]))
    return Request(name=told[0], media_type=told[1], limits=limits)


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()


def _forget_parents() -> None:
    for reader in list(_readers):
        reader.forget_parent()


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


def _explained(end: ProcessEnded, request: Request) -> Unreadable:
    if end.expired:
        return Unreadable("timeout", f"reading it took longer than {request.timeout_s:g} s")
    if end.out_of_memory:
        allowed = request.memory_bytes // _MEGABYTE
        how = f"reading it takes more than {allowed} MB of memory"
        return ReaderKilled("too_large", how) if end.by_others else Unreadable("too_large", how)
    how = "gave no answer" if end.exit_code is None else f"ended with exit code {end.exit_code}"
    return Unreadable("corrupt", f"the parser crashed on it, and {how}: save it again")
