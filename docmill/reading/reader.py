"""A child process that reads one file after another, and is replaced when one of them breaks it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from docmill.errors import Unreadable
from docmill.reading.child import read_frame, write_frame
from docmill.reading.formats import media_type
from docmill.reading.texts import decoded, tidy

__all__ = ["Limits", "Reader", "Reading"]

PAGE_BREAK = "\n\n"
FILES_A_CHILD = 200
"""After so many it is replaced, so that no leak of a library grows for ever."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one file may take."""

    max_bytes: int = 50_000_000
    max_pages: int = 2_000
    max_text_chars: int = 20_000_000
    timeout_s: float = 30.0
    memory_bytes: int = 1_000_000_000
    """Address space of the reading process, its libraries (about 150 MB) included."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A file's text."""

    text: str
    pages: tuple[int, ...]
    """Where each page begins in ``text``, in characters."""
    media_type: str
    warning: str | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to work on: an empty file, or a scan without a text layer."""
        return not self.text.strip()


class Reader:
    """Reads files; plain text here, everything else in its child. One file at a time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._child: subprocess.Popen[bytes] | None = None
        self._files = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child; the next file starts another."""
        child, self._child, self._files = self._child, None, 0
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    _close(pipe)

    def read(self, path: Path | str) -> Reading:
        """The text of a file. Raises Unreadable; FileNotFoundError where there is none."""
        path = Path(path)
        self._check_size(path.stat().st_size)
        return self.read_bytes(path.read_bytes(), name=path.name)

    def read_bytes(self, body: bytes, *, name: str | None = None) -> Reading:
        """The text of a file's content. Raises Unreadable."""
        self._check_size(len(body))
        kind = media_type(body, name) if body else "text/plain"
        pages = self._pages(body, kind)
        if sum(map(len, pages)) > self.limits.max_text_chars:
            raise Unreadable("too_large", f"its text has more than {self.limits.max_text_chars} characters")
        return _reading([tidy(page) for page in pages], kind)

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise Unreadable(
                "too_large", f"it has {size:,} bytes; {self.limits.max_bytes:,} are allowed: split it"
            )

    def _pages(self, body: bytes, kind: str) -> list[str]:
        if kind.startswith("text/") and kind != "text/html":
            return [decoded(body)]
        answer = self._ask({"media_type": kind, "limits": asdict(self.limits)}, body)
        if "kind" in answer:
            raise Unreadable(answer["kind"], answer["message"])
        return list(answer["pages"])

    def _ask(self, head: dict[str, Any], body: bytes) -> dict[str, Any]:
        child = self._running_child()
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        watch = threading.Timer(self.limits.timeout_s, end)
        watch.start()
        try:
            answer = _exchange(child, head, body)
        except BaseException:
            # A soft time limit, say: an answer left in the pipe would be taken for that to the next file.
            self.close()
            raise
        finally:
            watch.cancel()
            watch.join()
        if answer is not None:
            self._files += 1
            return answer
        self.close()
        if late.is_set():
            raise Unreadable("timeout", f"reading it took more than {self.limits.timeout_s:g} s")
        raise Unreadable("corrupt", "reading it made the reader crash: save it again, or as text")

    def _running_child(self) -> subprocess.Popen[bytes]:
        if self._files >= FILES_A_CHILD:
            self.close()
        if self._child is None or self._child.poll() is not None:
            self.close()
            self._child = subprocess.Popen(
                # Isolated from the environment, where the keys of providers are.
                [sys.executable, "-m", "docmill.reading.child", str(self.limits.memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"},
                cwd="/",
            )
        return self._child


def _exchange(child: subprocess.Popen[bytes], head: dict[str, Any], body: bytes) -> dict[str, Any] | None:
    """The child's answer; None where it died before it gave one."""
    assert child.stdin is not None and child.stdout is not None  # noqa: PT018, S101 - both were asked for
    try:
        write_frame(child.stdin, json.dumps(head).encode())
        write_frame(child.stdin, body)
    except BrokenPipeError:
        return None
    answer = read_frame(child.stdout)
    return None if answer is None else dict(json.loads(answer))


def _reading(pages: list[str], kind: str) -> Reading:
    starts, at = [], 0
    for page in pages:
        starts.append(at)
        at += len(page) + len(PAGE_BREAK)
    text = PAGE_BREAK.join(pages)
    scanned = kind == "application/pdf" and not text.strip()
    warning = "it has no text layer: run OCR over it and submit the result" if scanned else None
    return Reading(text=text, pages=tuple(starts), media_type=kind, warning=warning)


def _close(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:
        return  # what was buffered for a dead child is not wanted any more
