"""A word, and where it stands on its page."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["Word", "turned"]

Edges = tuple[float, float, float, float]


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
    turns: int | None = 0
    """Quarters of a turn, against the clock, by which its letters are turned; None for what has no letters."""
    doubtful: bool = False
    """White, tiny, invisible or on a layer: whether anybody sees it is to be looked at."""

    @property
    def level(self) -> bool:
        """Whether it runs from left to right, or right to left; else it stands upright beside the text."""
        return self.turns is None or self.turns % 2 == 0

    def turned(self, quarters: int) -> Word:
        """Returns it as it stands when the page is turned, by quarters of a turn with the clock."""
        x0, y0, x1, y1 = turned((self.x0, self.y0, self.x1, self.y1), quarters)
        turns = None if self.turns is None else (self.turns - quarters) % 4
        return replace(self, x0=x0, y0=y0, x1=x1, y1=y1, turns=turns)

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def middle(self) -> float:
        return (self.y0 + self.y1) / 2


def turned(box: Edges, quarters: int) -> Edges:
    """Returns a box as it lies when the page is turned about its upper left corner, with the clock."""
    x0, y0, x1, y1 = box
    return ((x0, y0, x1, y1), (-y1, x0, -y0, x1), (-x1, -y1, -x0, -y0), (y0, -x1, y1, -x0))[quarters % 4]
