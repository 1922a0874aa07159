"""The process that parses: ``python -m docmill.reading.child PARENT WORK``, started by docmill.reading.process.

It imports the parsers, gives up its rights, and greets its parent. Then it reads a frame with a document from
its standard input, answers with a frame that holds the text or the reason why there is none, and waits for the
next. It opens no document itself and writes no file. An error that nobody foresaw ends it; its parent then takes
the document for corrupt and starts another.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from docmill.apart import frames
from docmill.apart.child import die_with, take_pipes
from docmill.errors import Unreadable
from docmill.processes import give_back_memory, resident_bytes
from docmill.reading import formats
from docmill.reading.confinement import confine, memory_limit
from docmill.reading.layout.geometry import pack
from docmill.reading.messages import INK, NO_INK, Answer, Greeting, Request, encode, read_request
from docmill.reading.values import LeftToOthers, Reading, reading_of

# The frame's length was checked by the parent against its own limit; this is only a bound.
_MAX_BODY = 2**40


def main() -> None:
    """Serves documents until the parent closes the pipe."""
    parent = int(sys.argv[1])
    die_with(parent)
    incoming, outgoing = take_pipes()
    _load(sys.argv[2])
    network = confine()
    die_with(parent)
    frames.send(outgoing, encode(Greeting(uid=os.getuid(), network=network)))
    serve(incoming, outgoing)


def _load(work: str) -> None:
    """Imports what the work needs, and no more: each megabyte is held as long as the process lives."""
    if work == "texts":
        formats.preload(formats.TEXTS)
        return
    from docmill.reading import ink, rendering, scans  # noqa: F401 - they are asked for under ``_read``

    # What does OCR holds the engine's models, which who only parses has no use for.
    (scans.preload if work == "ocr" else formats.preload)()


def serve(incoming: int, outgoing: int) -> None:
    """Answers frames from one pipe on the other, until the pipe ends or an answer is the last."""
    while True:
        try:
            header, document = frames.receive(incoming, max_body=_MAX_BODY)
        except frames.PipeEnded:
            return
        request = read_request(header)
        answer, text = _answer(request, document)
        if request.is_scan:
            give_back_memory()  # of a page's hundreds of megabytes, which the next one takes in other pieces
        frames.send(outgoing, encode(replace(answer, rss_bytes=resident_bytes())), text)
        if answer.last:
            return


def _answer(request: Request, document: bytes) -> tuple[Answer, bytes]:
    try:
        with memory_limit(request.memory_bytes):
            return _read(request, document)
    except Unreadable as error:
        return Answer(unreadable=error.kind, message=str(error)[:10_000]), b""
    except LeftToOthers:
        return Answer(is_left=True), b""
    except ImportError as error:
        return Answer(missing=error.name or "a parser", last=True), b""
    except MemoryError:
        message = f"reading it takes more than {request.memory_bytes // 2**20} MB of memory"
        return Answer(unreadable="too_large", message=message, last=True), b""
    except RecursionError:
        message = "it is nested too deeply: submit what is inside by itself"
        return Answer(unreadable="too_large", message=message, last=True), b""


def _read(request: Request, document: bytes) -> tuple[Answer, bytes]:
    name, kind, limits = request.name, request.media_type, request.limits
    if request.page is None:
        return _told(formats.read_document(document, name=name, media_type=kind, limits=limits))
    if limits.texts_only:
        raise LeftToOthers
    from docmill.reading import ink, rendering, scans  # who reads texts goes without

    if request.dots_an_inch is not None:
        return Answer(), rendering.render_page(
            document,
            request.page,
            request.dots_an_inch,
            name=name,
            media_type=kind,
            compact=request.compact,
        )
    if request.ink:
        shown = ink.shows_ink(scans.picture_of(document, request.page, name=name, media_type=kind))
        return Answer(), INK if shown else NO_INK
    scan = scans.read_scan(document, request.page, name=name, media_type=kind, limits=limits)
    return _told(reading_of(scan.text, "", pages=(0,), layout=[scan.layout]))


def _told(reading: Reading) -> tuple[Answer, bytes]:
    layout = pack(reading.layout) if reading.layout else b""
    answer = Answer(
        media_type=reading.media_type,
        pages=reading.pages,
        warnings=reading.warnings,
        scans=reading.scans,
        layout_bytes=len(layout),
    )
    return answer, reading.text.encode() + layout


if __name__ == "__main__":
    main()
