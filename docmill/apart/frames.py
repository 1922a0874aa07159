"""How a process and its child talk over pipes: frames of a header and a body.

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
_CHUNK = 2**20

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
    try:
        _write(fd, _LENGTHS.pack(len(header), len(body)) + header, wait)
        _write(fd, body, wait)
    except BrokenPipeError as error:
        raise PipeEnded("nobody reads the pipe") from error


def receive(fd: int, *, max_body: int, wait: Wait = wait_for_ever) -> tuple[bytes, bytes]:
    """The next frame. Raises PipeEnded, and FrameBroken where a length is beyond what is allowed."""
    header_length, body_length = _LENGTHS.unpack(_read(fd, _LENGTHS.size, wait))
    if header_length > MAX_HEADER or body_length > max_body:
        raise FrameBroken("a frame is longer than allowed")
    return _read(fd, header_length, wait), _read(fd, body_length, wait)


def _write(fd: int, data: bytes, wait: Wait) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view[:_CHUNK]) :]
        except BlockingIOError:
            wait(fd, select.POLLOUT)


def _read(fd: int, length: int, wait: Wait) -> bytes:
    data = bytearray()
    while len(data) < length:
        try:
            chunk = os.read(fd, min(_CHUNK, length - len(data)))
        except BlockingIOError:
            wait(fd, select.POLLIN)
            continue
        if not chunk:
            raise PipeEnded("the pipe ended")
        data += chunk
    return bytes(data)
