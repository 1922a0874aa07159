"""From a line's text and the parts that an engine saw in it to its words, with their boxes; pure.

The engine's model reads spaces well and overlooks a few; its parts are guessed from gaps alone, and tear words
whose letters are set wide (``PR OFESSIONAL``). So the text says where words end, and a part's end counts where
the gap and the characters on its sides agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Part", "words_of"]

LEAST_GAP, MOST_GAP = 0.35, 0.75
"""Of the line's height: a gap between two words of letters. In a wider one a letter was missed."""
LEAST_GAP_TO_DIGITS = 0.5
LEAST_LETTERS = 3

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Part:
    """Letters that stand together, and the box that holds them."""

    text: str
    box: Box


def words_of(text: str, parts: Sequence[Part], *, runs_down: bool = False) -> Iterator[tuple[str, Box]]:
    """Yields a line's words and their boxes; the parts as they are where they do not spell the text."""
    parts = [Part("".join(part.text.split()), part.box) for part in parts if part.text.strip()]
    if "".join(part.text for part in parts) != "".join(text.split()):
        yield from ((part.text, part.box) for part in parts)
        return
    left = list(reversed(parts))
    for word in text.split():
        yield from _joined(list(_taken(left, len(word), runs_down)), runs_down)


def _taken(left: list[Part], letters: int, runs_down: bool) -> Iterator[Part]:
    """Takes the next letters from the parts that are left, of the last one as many as are needed."""
    while letters > 0:
        part = left.pop()
        if len(part.text) > letters:
            share = letters / len(part.text)
            first, second = _divided(part.box, share, runs_down)
            left.append(Part(part.text[letters:], second))
            part = Part(part.text[:letters], first)
        letters -= len(part.text)
        yield part


def _divided(box: Box, share: float, runs_down: bool) -> tuple[Box, Box]:
    x0, y0, x1, y1 = box
    if runs_down:
        y = y0 + (y1 - y0) * share
        return (x0, y0, x1, y), (x0, y, x1, y1)
    x = x0 + (x1 - x0) * share
    return (x0, y0, x, y1), (x, y0, x1, y1)


def _joined(parts: Sequence[Part], runs_down: bool) -> Iterator[tuple[str, Box]]:
    """The parts of a word as one, or as two words between which the engine missed the space."""
    if len(parts) != 2 or not _are_apart(parts[0], parts[1], runs_down):
        parts = [Part("".join(part.text for part in parts), _around([part.box for part in parts]))]
    yield from ((part.text, part.box) for part in parts)


def _are_apart(left: Part, right: Part, runs_down: bool) -> bool:
    along, across = (1, 0) if runs_down else (0, 1)
    height = max(part.box[across + 2] - part.box[across] for part in (left, right))
    gap = (right.box[along] - left.box[along + 2]) / max(height, 1.0)
    if left.text.isalpha() and right.text.isalpha():
        letters = min(len(left.text), len(right.text))
        return letters >= LEAST_LETTERS and LEAST_GAP <= gap <= MOST_GAP
    mixed = left.text[-1].isalpha() and right.text[0].isdigit()
    return mixed and len(left.text) > 1 and gap >= LEAST_GAP_TO_DIGITS


def _around(boxes: Sequence[Box]) -> Box:
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
