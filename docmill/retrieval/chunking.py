"""A document's text in pieces that can be found and pointed at; pure.

A piece ends where the text itself ends something, as far as its size allows: before a heading, between
paragraphs, between lines, between sentences, between words. A piece is a span of the text, so that an answer can
point to its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Chunk", "chunk", "is_heading"]

CHUNK_TOKENS = 320

PARAGRAPH = re.compile(r"\n[ \t\r\f]*\n\s*|\f\s*")
LINE = re.compile(r"\r?\n")
# A full stop ends a sentence where a capital, a digit or a bracket follows; the ideographic one anywhere.
SENTENCE = re.compile(r"(?<=[.!?…;:])[\"'”’)\]]*\s+(?=[^\Wa-z_]|[\"'“‘(\[])|(?<=[。！？；])")
WORD = re.compile(r"\s+")
PARTINGS = (PARAGRAPH, LINE, SENTENCE, WORD)

HEADING = re.compile(
    r"#{1,6}[ \t]\S"  # Markdown
    r"|(?i:article|section|part|chapter|schedule|exhibit|annex|appendix|teil|abschnitt|artikel|chapitre)\b"
    r"|\d{1,2}(?:\.\d{1,3}){0,3}[.)]?[ \t]+[^\Wa-z\d_]"
)
LONGEST_HEADING = 120
"""Characters of a paragraph that may be a heading."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A span of the text: characters from ``start`` up to ``end``, and how many tokens they have."""

    start: int
    end: int
    tokens: int


def chunk(text: str, *, count: Callable[[str], int], tokens: int = CHUNK_TOKENS) -> list[Chunk]:
    """The text's chunks in order, without overlap; what lies between two of them is white space.

    Each has at most ``tokens`` tokens as ``count`` counts them (their parts' sum), unless a single word has more.
    An empty text has none.
    """
    if tokens < 1:
        raise ValueError(f"a chunk has at least one token, not {tokens}")
    size = Size(count=count, tokens=tokens)
    return list(_merged(text, list(_pieces(text, (0, len(text)), size, PARTINGS)), tokens))


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a chunk may be."""

    count: Callable[[str], int]
    tokens: int


def _pieces(text: str, span: tuple[int, int], size: Size, partings: Sequence[re.Pattern[str]]) -> Iterator[Chunk]:
    """Spans that end where the text ends something, none above the size; parted no further than that needs."""
    for start, end in _parts(text, *span, partings[0]):
        counted = size.count(text[start:end])
        if counted <= size.tokens:
            yield Chunk(start=start, end=end, tokens=max(1, counted))
        elif partings[1:]:
            yield from _pieces(text, (start, end), size, partings[1:])
        else:
            yield from _cut(start, end, counted, size.tokens)


def _parts(text: str, start: int, end: int, parting: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """The stretches between the partings, without the white space around them; empty ones left out."""
    at = start
    for found in parting.finditer(text, start, end):
        yield from _stripped(text, at, found.start())
        at = found.end()
    yield from _stripped(text, at, end)


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end


def _cut(start: int, end: int, counted: int, tokens: int) -> Iterator[Chunk]:
    """A word longer than a chunk, as a hash or a picture in letters, in even lengths."""
    parts = -(-counted // tokens)
    length = -(-(end - start) // parts)
    for at in range(start, end, length):
        yield Chunk(start=at, end=min(at + length, end), tokens=tokens)


def _merged(text: str, pieces: Sequence[Chunk], tokens: int) -> Iterator[Chunk]:
    """Neighbours put together while they fit; a heading begins a new chunk once there is enough before it."""
    held: Chunk | None = None
    for piece in pieces:
        if held is None:
            held = piece
        elif held.tokens + piece.tokens > tokens or (
            held.tokens * 3 > tokens and is_heading(text, piece.start, piece.end)
        ):
            yield held
            held = piece
        else:
            held = Chunk(start=held.start, end=piece.end, tokens=held.tokens + piece.tokens)
    if held is not None:
        yield held


def is_heading(text: str, start: int, end: int) -> bool:
    return end - start <= LONGEST_HEADING and (
        HEADING.match(text, start, end) is not None or text[start:end].isupper()
    )
