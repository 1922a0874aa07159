"""A document that is longer than its room: the passages that are needed, and what is left out; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from docmill.llm.tokens import Counter, shortened
from docmill.retrieval.chunking import Chunk, chunk

if TYPE_CHECKING:
    from docmill.retrieval.ranking import Embed

__all__ = ["Spans", "fitting", "left_out"]

Spans: TypeAlias = list[tuple[int, int]]
"""Parts of a text in its order: characters from the first number up to the second."""

PASSAGE_TOKENS = 200
FEWEST_PASSAGES = 10
"""That the room holds; where it is small, passages are."""
HEAD_SHARE, TAIL_SHARE = 0.1, 0.05
"""Of the room, for the beginning and the end: who, what and when stand there, seldom in the words that ask."""


def fitting(
    text: str, asked: Sequence[str], *, tokens: int, counter: Counter, embed: Embed, gap_tokens: int = 0
) -> Spans:
    """The whole text where it has at most ``tokens`` tokens, else what says most about what is asked.

    Without a question that is its beginning and its end. ``gap_tokens`` are spent between two passages that do not
    touch.
    """
    if tokens <= 0 or not text:
        return []
    if counter.count(text) <= tokens:
        return [(0, len(text))]
    if not asked:
        return shortened(text, max(0, tokens - gap_tokens), counter)
    size = max(1, min(PASSAGE_TOKENS, tokens // FEWEST_PASSAGES))
    room = _Room(text=text, tokens=tokens, gap_tokens=gap_tokens, counter=counter)
    chunks = chunk(text, count=counter.count, tokens=size)
    order = _order(text, chunks, asked, tokens, embed)
    taken = list(_taken(room, chunks, order))
    return _with_a_part(room, chunks, taken, next((each for each in order if each not in taken), None))


def left_out(text: str, spans: Spans) -> Spans:
    """Returns what of the text lies in none of the spans, and is more than white space."""
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return [(end, start) for end, start in zip(ends, starts, strict=True) if text[end:start].strip()]


@dataclass(frozen=True, kw_only=True)
class _Room:
    """What is to be filled, with what."""

    text: str
    tokens: int
    gap_tokens: int
    counter: Counter

    def left(self, spans: Spans) -> int:
        used = sum(self.counter.count(self.text[start:end]) for start, end in spans)
        return self.tokens - used - self.gap_tokens * max(0, len(spans) - 1)


def _order(text: str, chunks: Sequence[Chunk], asked: Sequence[str], tokens: int, embed: Embed) -> Sequence[int]:
    """The places of the beginning, of the end, and of the rest by what it says."""
    places = range(len(chunks))
    head = _up_to(tokens * HEAD_SHARE, chunks, places)
    tail = _up_to(tokens * TAIL_SHARE, chunks, places[::-1])
    from docmill.retrieval.ranking import ranked  # with NumPy: memory that workers go without until they need it

    rest = ranked([text[each.start : each.end] for each in chunks], asked, embed=embed)
    return list(dict.fromkeys([*head, *tail, *rest]))


def _up_to(tokens: float, chunks: Sequence[Chunk], places: Sequence[int]) -> Iterator[int]:
    """The first of the places whose chunks together have at most so many tokens; one in any case."""
    used = 0
    for at in places:
        used += chunks[at].tokens
        if at != places[0] and used > tokens:
            return
        yield at


def _taken(room: _Room, chunks: Sequence[Chunk], order: Sequence[int]) -> Iterator[int]:
    """Each in turn that still fits."""
    left = room.tokens
    for at in order:
        # Counting takes longest, and most chunks of a long document have no room in any case.
        if chunks[at].tokens <= left and (cost := _cost(room, chunks, at)) <= left:
            left -= cost
            yield at


def _cost(room: _Room, chunks: Sequence[Chunk], at: int) -> int:
    """The most tokens that a chunk takes: with what follows it, in case the next one is taken too, or a gap."""
    end = chunks[at + 1].start if at + 1 < len(chunks) else len(room.text)
    return room.counter.count(room.text[chunks[at].start : end]) + room.gap_tokens


def _with_a_part(room: _Room, chunks: Sequence[Chunk], taken: Sequence[int], at: int | None) -> Spans:
    """What was taken, and the beginning of the next chunk, as far as there is room."""
    whole = [(chunks[each].start, chunks[each].end) for each in taken]
    left = room.left(_joined(room.text, whole)) - 2 * room.gap_tokens
    if at is None or left <= 0:  # all but white space may fit
        return _joined(room.text, whole)
    start, end = chunks[at].start, chunks[at].end
    parts = chunk(room.text[start:end], count=room.counter.count, tokens=left)
    return _joined(room.text, [*whole, *((start + each.start, start + each.end) for each in parts[:1])])


def _joined(text: str, spans: Spans) -> Spans:
    """In order, with those in one that nothing parts but white space."""
    joined: Spans = []
    for start, end in sorted(spans):
        if joined and not text[joined[-1][1] : start].strip():
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
