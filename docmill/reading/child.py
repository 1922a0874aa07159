"""The process that opens other people's files: ``python -m docmill.reading.child``.

Frames of four bytes of length and then content, both ways: in come a JSON head and the file's bytes, out goes
one JSON object. It has no environment, writes no file, and gets no more memory than it is told.
"""

from __future__ import annotations

import codecs
import ctypes
import json
import os
import re
import resource
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from docmill.errors import Unreadable

__all__ = ["read_frame", "write_frame"]

PR_SET_PDEATHSIG = 1
CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE | re.ASCII)


def read_frame(stream: IO[bytes]) -> bytes | None:
    """The next frame; None at the end of the stream."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    content = stream.read(length)
    return content if len(content) == length else None


def write_frame(stream: IO[bytes], content: bytes) -> None:
    stream.write(struct.pack(">I", len(content)) + content)
    stream.flush()


def read_pdf(body: bytes, limits: Mapping[str, int]) -> list[str]:
    """The text of each page."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Unreadable("encrypted", "it is locked with a password: submit it without one") from error
        raise Unreadable("corrupt", f"it is no whole PDF ({error}): save it again") from error
    try:
        if len(document) > limits["max_pages"]:
            raise Unreadable("too_large", f"it has {len(document)} pages; {limits['max_pages']} are allowed")
        return _pages(document, limits["max_text_chars"])
    finally:
        document.close()


def read_html(body: bytes, limits: Mapping[str, int]) -> list[str]:  # noqa: ARG001 - the readers share one shape
    """The text as a browser would show it, as one page."""
    from inscriptis import get_text

    from docmill.reading.texts import decoded

    text = decoded(body, legacy=_declared(body))
    try:
        return [get_text(text)] if text.strip() else [""]
    except RecursionError as error:
        raise Unreadable("too_large", "its elements are nested too deep") from error


def _declared(body: bytes) -> str:
    """The encoding that the page names; windows-1252 where it names none that is known, as browsers do."""
    found = CHARSET.search(body[:1024])
    try:
        return codecs.lookup(found[1].decode("ascii")).name if found else "cp1252"
    except LookupError:
        return "cp1252"


READERS: Mapping[str, Callable[[bytes, Mapping[str, int]], list[str]]] = {
    "application/pdf": read_pdf,
    "text/html": read_html,
}


def _pages(document: Any, max_text_chars: int) -> list[str]:
    pages: list[str] = []
    for page in document:
        pages.append(page.get_textpage().get_text_range())
        if sum(map(len, pages)) > max_text_chars:
            raise Unreadable("too_large", f"its text has more than {max_text_chars} characters")
    return pages


def _answer(head: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    try:
        return {"pages": READERS[head["media_type"]](body, head["limits"])}
    except Unreadable as error:
        return {"kind": error.kind, "message": str(error)}
    except MemoryError:
        return {"kind": "too_large", "message": "reading it takes more memory than is allowed"}


def _confine(memory_bytes: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    # Replies go to the first pipe; what a library prints must not get in between.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _confine(int(sys.argv[1]))
    while (head := read_frame(sys.stdin.buffer)) is not None:
        body = read_frame(sys.stdin.buffer)
        if body is None:
            return
        write_frame(replies, json.dumps(_answer(json.loads(head), body)).encode())


if __name__ == "__main__":
    main()
