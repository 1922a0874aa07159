"""Words that OCR ran together although no such word is written: a date and the time beside it; pure.

A narrow space between digits is what an engine overlooks most. How many digits a year and an hour have tells where
the space was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from docmill.reading.layout.words import Word

__all__ = ["parted"]

LONGEST = 60
"""Characters of a word that is looked at."""
_YEAR_FIRST = r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
_DAY_FIRST = r"\d{1,2}[-/.](?:\d{1,2}|[A-Za-z]{3})[-/.](?:\d{4}|\d{2})"
_DATE = rf"(?:{_YEAR_FIRST}|{_DAY_FIRST})"
_TIME = r"\d{1,2}:\d\d(?::\d\d)?(?:[AaPp][Mm])?"
_NAME = r"(?:[Dd]ate|DATE|[Tt]arikh|TARIKH|[Dd]atum|DATUM)"
_BEGINS = r"(?:(?<![\w:/.-])|(?<=[^\W\d]:))"
"""Not within another word; a colon behind letters ends a label."""
_RUN_TOGETHER = re.compile(rf"{_BEGINS}({_NAME})?(?:({_DATE})({_TIME})?|({_TIME})({_DATE}))(?![\w:/])")


def parted(word: Word) -> Iterator[Word]:
    """Yields the words that one is: itself, or a date, a time and a name, each with its share of the box."""
    text = word.text
    runs = _RUN_TOGETHER.finditer(text) if len(text) <= LONGEST else ()
    edges = [0, *(border for run in runs for border in _borders(run)), len(text)]
    width = (word.x1 - word.x0) / max(len(text), 1)
    for start, end in pairwise(edges):
        yield replace(word, text=text[start:end], x0=word.x0 + width * start, x1=word.x0 + width * end)


def _borders(run: re.Match[str]) -> list[int]:
    """Where one of its parts ends and another begins."""
    return sorted({run.end(part) for part in range(1, run.re.groups + 1)} - {-1, run.end()})
