"""The process that parses: ``python -m docmill.reading.child PARENT_PID``, started by docmill.reading.process.

It reads a frame with a document from its standard input, answers with a frame that holds the text or the
reason why there is none, and waits for the next. It opens no document itself and writes no file. An error
that nobody foresaw ends it; its parent then takes the document for corrupt and starts another.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

from docmill.errors import Unreadable
from docmill.reading import frames
from docmill.reading.confinement import confine, die_with, memory_limit, resident_bytes
from docmill.reading.formats import reader_for
from docmill.reading.values import Limits, Reading

# The frame's length was checked by the parent against its own limit; this is only a bound.
_MAX_BODY = 2**40


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A frame to send; after ``last`` this process ends, because it may be damaged."""

    header: dict[str, Any]
    text: bytes = b""
    last: bool = False


def main() -> None:
    """Serves documents until the parent closes the pipe."""
    die_with(int(sys.argv[1]))
    incoming, outgoing = _take_pipes()
    confine()
    frames.send(outgoing, {"ready": True})
    serve(incoming, outgoing)


def _take_pipes() -> tuple[int, int]:
    """Moves the pipes away from the standard streams, so that no library's print can break the protocol."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return incoming, outgoing


def serve(incoming: int, outgoing: int) -> None:
    """Answers frames from one pipe on the other, until the pipe ends or an answer is the last."""
    while True:
        try:
            request, body = frames.receive(incoming, max_body=_MAX_BODY)
        except frames.FrameBroken:
            return
        answer = _answer(request, body)
        frames.send(outgoing, answer.header | {"rss_bytes": resident_bytes(), "last": answer.last}, answer.text)
        if answer.last:
            return


def _answer(request: dict[str, Any], body: bytes) -> _Answer:
    limits = Limits(**request["limits"])
    try:
        with memory_limit(limits.memory_bytes):
            reading = reader_for(request["kind"])(body, charset=request["charset"], limits=limits)
            return _read(reading)
    except Unreadable as error:
        return _Answer(header={"unreadable": error.kind, "message": str(error)})
    except ImportError as error:
        return _Answer(header={"missing": error.name or "a parser"}, last=True)
    except MemoryError:
        message = f"reading it takes more than {limits.memory_bytes // 2**20} MB of memory"
        return _Answer(header={"unreadable": "too_large", "message": message}, last=True)
    except RecursionError:
        return _Answer(
            header={
                "unreadable": "too_large",
                "message": "it is nested too deeply: submit what is inside by itself",
            },
            last=True,
        )


def _read(reading: Reading) -> _Answer:
    header = {
        "pages": reading.pages,
        "media_type": reading.media_type,
        "warnings": [asdict(each) for each in reading.warnings],
    }
    return _Answer(header=header, text=reading.text.encode())


if __name__ == "__main__":
    main()
