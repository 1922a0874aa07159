"""How a process and its child talk over pipes: frames of a header and a body, one at a time.

A frame is two big-endian lengths (4 bytes for the header, 8 for the body), the header, and the body. The header is
JSON; a document and its text go as raw bytes, because JSON would copy and escape them.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["MAX_HEADER", "FrameBroken", "PipeEnded", "Wait", "receive", "send"]

MAX_HEADER = 4 * 2**20
_LENGTHS = struct.Struct(">IQ")
_CHUNK = 2**16
"""Bytes that a pipe holds, as a rule."""

Wait: TypeAlias = Callable[[int, int], None]
"""Waits until something can be read from a pipe (``select.POLLIN``) or written to it (``select.POLLOUT``)."""


class FrameBroken(Exception):
    """The other side does not speak this protocol."""


class PipeEnded(FrameBroken):
    """The other side is gone."""


def wait_for_ever(fd: int, event: int) -> None:
    """Does what the child does while nobody asks it."""
    poll = select.poll()
    poll.register(fd, event)
    poll.poll()


def send(fd: int, header: bytes, body: bytes = b"", *, wait: Wait = wait_for_ever) -> None:
    """Writes one frame. Raises PipeEnded where nobody reads any more, and what ``wait`` raises."""
    parts = [memoryview(_LENGTHS.pack(len(header), len(body)) + header), memoryview(body)]
    try:
        while parts:
            parts = _write(fd, parts, wait)
    except BrokenPipeError as error:
        raise PipeEnded("nobody reads the pipe") from error


def receive(fd: int, *, max_body: int, wait: Wait = wait_for_ever) -> tuple[bytes, bytes]:
    """The next frame, in as few reads as it comes in: after each a thread of many waits for its turn to go on.

    Raises PipeEnded, FrameBroken where a length is beyond what is allowed or more comes than one frame, and what
    ``wait`` raises.
    """
    data = bytearray()
    _read(fd, data, _LENGTHS.size, wait)
    header_length, body_length = _LENGTHS.unpack_from(data)
    if header_length > MAX_HEADER or body_length > max_body:
        raise FrameBroken("a frame is longer than allowed")
    begins = _LENGTHS.size + header_length
    _read(fd, data, begins + body_length, wait)
    if len(data) > begins + body_length:
        raise FrameBroken("more came than a frame")
    view = memoryview(data)
    return bytes(view[_LENGTHS.size : begins]), bytes(view[begins:])


def _write(fd: int, parts: list[memoryview], wait: Wait) -> list[memoryview]:
    """Writes of the parts what the pipe takes, and returns the rest."""
    try:
        written = os.writev(fd, parts)
    except BlockingIOError:
        wait(fd, select.POLLOUT)
        return parts
    rest = []
    for part in parts:
        if written < len(part):
            rest.append(part[written:])
        written = max(0, written - len(part))
    return rest


def _read(fd: int, data: bytearray, length: int, wait: Wait) -> None:
    """Adds what comes, until there is so much at least."""
    while len(data) < length:
        wait(fd, select.POLLIN)
        try:
            chunk = os.read(fd, min(2**20, max(_CHUNK, length - len(data))))
        except BlockingIOError:
            continue
        if not chunk:
            raise PipeEnded("the pipe ended")
        data += chunk
