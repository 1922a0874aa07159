"""Ink is told from blank paper, however it was scanned."""

from __future__ import annotations

import math
import random

import pytest
from PIL import Image, ImageDraw, ImageFilter

from docmill.reading.ink import shows_ink

A4 = (1240, 1754)
"""At 150 dots an inch."""


def paper(
    shade: int = 245, *, grain: int = 6, shadow: int = 0, dust: int = 0, size: tuple[int, int] = A4
) -> Image.Image:
    """A sheet with grain, a shadow that grows across it, and specks."""
    chance = random.Random(shade + dust)
    sheet = Image.new("L", size, shade)
    sheet = Image.blend(sheet, Image.effect_noise(size, 4 * grain), 0.1)
    if shadow:
        across = Image.linear_gradient("L").resize(size)
        sheet = Image.blend(sheet, across, shadow / 255)
    pen = ImageDraw.Draw(sheet)
    for _ in range(dust):
        x, y = chance.randrange(size[0]), chance.randrange(size[1])
        pen.ellipse((x, y, x + 2, y + 2), fill=60)
    return sheet


def written(sheet: Image.Image, *, ink: int = 40, width: int = 4, long: int = 500) -> Image.Image:
    """A line as from a pen, in loops."""
    points = [(300 + at + 12 * math.sin(at / 7), 800 + 25 * math.sin(at / 11)) for at in range(0, long, 3)]
    ImageDraw.Draw(sheet).line(points, fill=ink, width=width)
    return sheet


BLANK = {
    "white": lambda: Image.new("RGB", A4, "white"),
    "grey": lambda: paper(200),
    "black": lambda: Image.new("L", A4, 0),
    "grain": lambda: paper(235, grain=20),
    "shadow": lambda: paper(shadow=120),
    "dust": lambda: paper(dust=40),
    "small": lambda: Image.new("1", (40, 40), 1),
    "a dot": lambda: Image.new("L", (1, 1), 0),
}


@pytest.mark.parametrize("kind", BLANK)
def test_a_blank_sheet_shows_none(kind: str) -> None:
    assert not shows_ink(BLANK[kind]())


def test_holes_and_a_scanners_edge_are_none() -> None:
    sheet = paper()
    pen = ImageDraw.Draw(sheet)
    for y in (650, 1100):
        pen.ellipse((25, y, 60, y + 35), fill=20)
    pen.rectangle((0, 0, A4[0], 30), fill=0)
    assert not shows_ink(sheet)


INK = {
    "pen": lambda: written(paper()),
    "pencil": lambda: written(paper(), ink=140, width=6),
    "in a shadow": lambda: written(paper(shadow=120)),
    "white on black": lambda: written(Image.new("L", A4, 0), ink=255),
    "a word": lambda: written(paper(), width=5, long=260),
    "blurred": lambda: written(paper(), width=7).filter(ImageFilter.GaussianBlur(2)),
}


@pytest.mark.parametrize("kind", INK)
def test_what_a_pen_wrote_is_ink(kind: str) -> None:
    assert shows_ink(INK[kind]())
