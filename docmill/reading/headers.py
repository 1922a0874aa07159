"""A mail's headers as a person reads them, in time that grows with their length alone.

The standard library's own way, ``email.policy.default``, builds a tree of each header, and takes the square of its
length or more for it: minutes for 50 KB of quotes. Its older way keeps a header as it was sent; what a person
would not see in it (RFC 2047, encoded words) is decoded here.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import Compat32

from docmill.errors import Unreadable
from docmill.reading.decoding import decode

__all__ = ["parsed", "shown"]

LONGEST = 4000
"""Characters of a header that says how its part is packed: what is behind them is not looked at."""

_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s++(?==\?)")
_ENCODED = re.compile(r"=\?([^?\s]{1,60})\?([bBqQ])\?([^?]*+)\?=")


class _AsSent(Compat32):
    """Headers as they were sent, and none about a part's packing too long to be taken apart."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:LONGEST] if name.lower().startswith("content-") else value

    def header_fetch_parse(self, name: str, value: str) -> str:  # noqa: ARG002 - the policy's shape
        return value if value.isascii() else _of_bytes(value, None)


_POLICY = _AsSent(message_factory=EmailMessage)


def parsed(body: bytes) -> EmailMessage:
    """Reads the message and its parts."""
    message = BytesParser(policy=_POLICY).parsebytes(body)
    assert isinstance(message, EmailMessage)  # noqa: S101 - the policy makes these; its types cannot say so
    return message


def shown(value: str, charset: str | None = None) -> str:
    """A header's value, or a part of it, on one line; ``charset`` is the likeliest of bytes that name none."""
    words = "".join(_decoded(_BETWEEN_WORDS.sub("", value))) if value.isascii() else _of_bytes(value, charset)
    return " ".join(words.split())


def _of_bytes(value: str, charset: str | None) -> str:
    return _text(value.encode("utf-8", "surrogateescape"), charset)


def _text(sent: bytes, charset: str | None) -> str:
    try:
        return decode(sent, charset).text
    except Unreadable:
        return sent.decode("utf-8", "replace")  # binary data in a header leaves the rest of the message readable


def _decoded(value: str) -> Iterator[str]:
    """The value in parts; a character may begin in one encoded word and end in the next one."""
    at, charset, sent = 0, "", b""
    for word in _ENCODED.finditer(value):
        between, named = value[at : word.start()], word[1].partition("*")[0].lower()
        if sent and (between or named != charset):
            yield _text(sent, charset)
            sent = b""
        yield between
        at, charset = word.end(), named
        found = _bytes_of(word)
        if found is None:
            yield word[0]
        else:
            sent += found
    if sent:
        yield _text(sent, charset)
    yield value[at:]


def _bytes_of(word: re.Match[str]) -> bytes | None:
    """What an encoded word holds; None for one that is broken."""
    try:
        if word[2] in "bB":
            return base64.b64decode(word[3].encode("ascii") + b"==")
        return quopri.decodestring(word[3].encode("ascii"), header=True)
    except binascii.Error:
        return None
