"""What a reader asks of its child process, and what the child answers, as the headers of frames.

The child has other people's files in its memory, so its answers are taken for as foreign as the files are: each
field is checked before any of it is believed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from docmill.errors import UnreadableKind
from docmill.reading.layout.geometry import PageLayout, check_page, unpack
from docmill.reading.values import Limits, Reading, ReadingWarning, reading_of, warned
from docmill.storable import is_storable, storable_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["INK", "NO_INK", "Answer", "Garbled", "Greeting", "Request", "decode", "encode", "read_request"]

LONGEST_WORD, LONGEST_MESSAGE = 200, 10_000
"""Characters."""
MOST_WARNINGS = 1000
MAX_BYTES_A_CHAR = 4
MOST_LAYOUT = 64 * 2**20
MOST_PICTURE = 64 * 2**20
"""Bytes of a page that is drawn."""

INK, NO_INK = b"ink", b"no ink"
"""What is answered where only that is asked."""

_Message = TypeVar("_Message")


class Garbled(Exception):
    """A message that its sender cannot have meant."""


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """The child is ready, and confined so far as the kernel allows it."""

    uid: int
    network: bool
    """Whether it can still reach the network."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A document, whose bytes are the frame's body."""

    name: str
    media_type: str
    """As somebody declared it; empty where nobody did."""
    limits: Limits
    page: int | None = None
    """The page, counted from 0, that OCR is to read; None is the whole document, without OCR."""
    dots_an_inch: int | None = None
    """With which the page is to be drawn, and not read."""
    compact: bool = False
    """Whether a page of many colours is drawn as a JPEG, which is far smaller."""
    ink: bool = False
    """Whether it is only asked if anything is drawn on the page."""

    @property
    def is_scan(self) -> bool:
        """Whether OCR is to read a page."""
        return self.page is not None and self.dots_an_inch is None

    @property
    def timeout_s(self) -> float:
        return self.limits.ocr_timeout_s if self.is_scan else self.limits.timeout_s

    @property
    def memory_bytes(self) -> int:
        return self.limits.ocr_memory_bytes if self.is_scan else self.limits.memory_bytes

    @property
    def most_bytes(self) -> int:
        """Of the answer's body: a text, or a page's picture."""
        return MOST_PICTURE if self.dots_an_inch else self.limits.max_text_chars * MAX_BYTES_A_CHAR + MOST_LAYOUT


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reading, whose text is the frame's body; or why there is none."""

    media_type: str = ""
    pages: tuple[int, ...] = ()
    warnings: tuple[ReadingWarning, ...] = ()
    scans: tuple[int, ...] = ()
    unreadable: UnreadableKind | None = None
    message: str = ""
    """Why it is unreadable."""
    missing: str | None = None
    """The package without which such a document cannot be read."""
    is_left: bool = False
    """Whether it is left to another reader, because of its kind."""
    layout_bytes: int = 0
    """Of the frame's body, at its end."""
    rss_bytes: int = 0
    """What the child holds in memory after it."""
    last: bool = False
    """Whether the child ends now, because it may be damaged."""

    @property
    def is_bounded(self) -> bool:
        """Whether counts are counts, and no word is longer than one may be."""
        counts = (*self.pages, *self.scans, self.layout_bytes, self.rss_bytes)
        words = (self.media_type, self.missing or "")
        return (
            min(counts) >= 0
            and max(map(len, words)) <= LONGEST_WORD
            and len(self.message) <= LONGEST_MESSAGE
            and len(self.warnings) <= MOST_WARNINGS
        )

    def reading(self, body: bytes) -> Reading:
        """The reading that this answer and its frame's body are. Raises Garbled."""
        if self.layout_bytes > len(body):
            raise Garbled("the layout is longer than all")
        text_bytes = len(body) - self.layout_bytes
        try:
            text = body[:text_bytes].decode()
        except UnicodeDecodeError as error:
            raise Garbled("the text is no UTF-8") from error
        if not is_storable(text):
            raise Garbled("the text cannot be stored")
        if list(self.pages) != sorted(self.pages) or max(self.pages, default=0) > len(text):
            raise Garbled("the pages are no places in the text")
        if list(self.scans) != sorted(set(self.scans)) or max(self.scans, default=-1) >= max(len(self.pages), 1):
            raise Garbled("the scans are no pages")
        warnings = [warned(each.kind, each.where, count=each.count) for each in self.warnings]
        kind = storable_text(self.media_type)
        layout = self._layout(text, body[text_bytes:])
        return reading_of(text, kind, pages=self.pages, warnings=warnings, scans=self.scans, layout=layout)

    def _layout(self, text: str, packed: bytes) -> tuple[PageLayout, ...]:
        """Where the words stand, each page's within its text. Raises Garbled."""
        if not packed:
            return ()
        edges = [*self.pages, len(text)]
        try:
            found = unpack(packed)
            for page, (start, end) in zip(found, pairwise(edges), strict=True):
                check_page(page, end - start)
        except ValueError as error:
            raise Garbled(f"the layout is none: {error}") from error
        return found


def encode(message: Greeting | Request | Answer) -> bytes:
    """Writes the message as a frame's header."""
    return json.dumps(vars(message), default=vars).encode()


def read_request(header: bytes) -> Request:
    """Reads a frame's header as what its parent asks the child."""
    told = json.loads(header)
    return Request(**{**told, "limits": Limits(**told["limits"])})


def decode(kind: type[_Message], header: bytes) -> _Message:
    """Reads a frame's header as the message of a child's that it must be. Raises Garbled."""
    try:
        message: _Message = _adapter(kind).validate_json(header)
    except ValueError as error:
        raise Garbled(f"no {kind.__name__.lower()}: its fields are wrong") from error
    if isinstance(message, Answer) and not message.is_bounded:
        raise Garbled("no answer: a field is out of bounds")
    return message


def _adapter(kind: type) -> TypeAdapter[Any]:
    # The child imports this module too, needs no Pydantic, and would hold ten megabytes for it.
    from pydantic import TypeAdapter

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


_adapters: dict[type, TypeAdapter[Any]] = {}
