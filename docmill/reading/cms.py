"""What was signed: the content of a CMS message (RFC 5652), which anybody can read; signatures are not checked."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["signed_content"]

SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
"""The object identifier 1.2.840.113549.1.7.2."""
SEQUENCE, OCTETS, IDENTIFIER, CONTENT = 0x30, 0x04, 0x06, 0xA0
CONSTRUCTED_OCTETS = 0x24
MOST_DEEP = 16


def signed_content(message: bytes) -> bytes | None:
    """Returns the content of a signed message; None where it is no signed message, or holds no content."""
    try:
        outer = list(_elements(_one(message, SEQUENCE)))
        if not outer or outer[0] != (IDENTIFIER, SIGNED_DATA):
            return None
        signed = list(_elements(_one(outer[1][1], SEQUENCE)))
        # Version, digests, then what was signed.
        signed_over = list(_elements(signed[2][1]))
        return _octets(*next(_elements(signed_over[1][1])), MOST_DEEP)
    except (IndexError, ValueError, StopIteration):
        return None


def _one(encoded: bytes, tag: int) -> bytes:
    found, content = next(_elements(encoded))
    if found != tag:
        raise ValueError("another element was expected")
    return content


def _octets(tag: int, content: bytes, depth: int) -> bytes:
    """A string of bytes, which BER may have in pieces."""
    if tag == OCTETS:
        return content
    if tag != CONSTRUCTED_OCTETS or depth <= 0:
        raise ValueError("no string of bytes")
    return b"".join(_octets(*piece, depth - 1) for piece in _elements(content))


def _elements(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that lie one after the other: tag and content."""
    at = 0
    while at < len(encoded):
        tag, start = encoded[at], at + 2
        size = encoded[at + 1]
        if size == 0x80:
            end = _end(encoded, start, MOST_DEEP)
            yield tag, encoded[start:end]
            at = end + 2
            continue
        if size > 0x80:
            size, start = _long(encoded, start, size - 0x80)
        if start + size > len(encoded):
            raise ValueError("it is cut")
        yield tag, encoded[start : start + size]
        at = start + size


def _long(encoded: bytes, start: int, length: int) -> tuple[int, int]:
    if length > 4:
        raise ValueError("too long")
    return int.from_bytes(encoded[start : start + length], "big"), start + length


def _end(encoded: bytes, at: int, depth: int) -> int:
    """Where the content of an element of unknown length ends: before two zero bytes of its own level."""
    if depth <= 0:
        raise ValueError("too deep")
    while encoded[at : at + 2] != b"\0\0":
        size, start = encoded[at + 1], at + 2
        if size == 0x80:
            at = _end(encoded, start, depth - 1) + 2
            continue
        if size > 0x80:
            size, start = _long(encoded, start, size - 0x80)
        at = start + size
    return at
