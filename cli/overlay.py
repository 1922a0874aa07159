"""A document's pages as a PDF of pictures, with a frame around each value of an answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from docmill.errors import JobNotFit, Unreadable
from docmill.reading import render

__all__ = ["write_overlay"]

DOTS_AN_INCH = 110
MOST_PAGES = 200
"""Of one overlay: each is drawn."""
COLOUR = (200, 30, 60)


def write_overlay(
    file: Path, body: bytes, evidence: Mapping[str, Any], *, name: str | None, media_type: str | None
) -> int:
    """Writes the pages on which values stand, and returns how many. Raises JobNotFit where there is none."""
    framed = _by_page(evidence)
    if not framed:
        raise JobNotFit("no value of this job has a place on a page: only PDFs and pictures have such")
    pages = []
    for number in sorted(framed)[:MOST_PAGES]:
        try:
            drawn = render(body, number - 1, dots_an_inch=DOTS_AN_INCH, name=name, media_type=media_type)
        except Unreadable as error:
            raise JobNotFit(f"page {number} cannot be shown: {error}") from error
        pages.append(_framed(Image.open(io.BytesIO(drawn)).convert("RGB"), framed[number]))
    pages[0].save(file, "PDF", save_all=True, append_images=pages[1:], resolution=DOTS_AN_INCH)
    return len(pages)


def _by_page(evidence: Mapping[str, Any]) -> dict[int, list[tuple[str, list[float]]]]:
    """The boxes of each page, with the paths of their values."""
    found: dict[int, list[tuple[str, list[float]]]] = {}
    for path, place in evidence.items():
        # What is cited stands in other documents.
        if isinstance(place, dict) and isinstance(place.get("page"), int) and "document_id" not in place:
            found.setdefault(place["page"], []).extend((path, box) for box in place.get("boxes") or ())
    return {page: boxes for page, boxes in found.items() if boxes}


def _framed(page: Image.Image, boxes: list[tuple[str, list[float]]]) -> Image.Image:
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for path, (left, top, right, bottom) in boxes:
        frame = (left * page.width - 2, top * page.height - 2, right * page.width + 2, bottom * page.height + 2)
        pen.rectangle(frame, outline=COLOUR, width=2)
        pen.text((frame[0], frame[1] - 12), path, fill=COLOUR, font=font)
    return page
