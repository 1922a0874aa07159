"""A word, and where it stands on its page."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Word"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word, and the box that holds it: points from the page's left and upper edges, as it is shown."""

    text: str
    x0: float
    y0: float
    x1: float
    y1: float
    order: int
    """Its place in the order in which the page draws its words."""
    level: bool = True
    """Whether it runs from left to right, or right to left; else it stands upright beside the text."""
    doubtful: bool = False
    """White, tiny, invisible or on a layer: whether anybody sees it is to be looked at."""

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2
