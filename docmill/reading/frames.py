"""How a reader and its child process talk over pipes: frames of a JSON header and raw bytes.

A frame is two big-endian lengths (4 bytes for the header, 8 for the body), the header, and the body. A
document and its text go as raw bytes, because JSON would copy and escape them.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_LENGTHS = struct.Struct(">IQ")
_MAX_HEADER = 4 * 2**20
_CHUNK = 2**20


class FrameBroken(Exception):
    """The other side closed the pipe, or does not speak this protocol."""


def send(fd: int, header: dict[str, Any], body: bytes = b"") -> None:
    """Writes one frame. Raises FrameBroken where nobody reads any more."""
    encoded = json.dumps(header).encode()
    try:
        _write(fd, _LENGTHS.pack(len(encoded), len(body)) + encoded)
        _write(fd, body)
    except BrokenPipeError as error:
        raise FrameBroken("nobody reads the pipe") from error


def receive(fd: int, *, max_body: int) -> tuple[dict[str, Any], bytes]:
    """The next frame. Raises FrameBroken where the pipe ends first, or a length is beyond what is allowed."""
    header_length, body_length = _LENGTHS.unpack(_read(fd, _LENGTHS.size))
    if header_length > _MAX_HEADER or body_length > max_body:
        raise FrameBroken("a frame is longer than allowed")
    header = json.loads(_read(fd, header_length))
    return header, _read(fd, body_length)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view[:_CHUNK]) :]


def _read(fd: int, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        chunk = os.read(fd, min(_CHUNK, length - len(data)))
        if not chunk:
            raise FrameBroken("the pipe ended")
        data += chunk
    return bytes(data)
