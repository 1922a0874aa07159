"""Of the values that stand in long documents how many are found in the text that is read, by kind of document.

Usage: ``python -m bench.leaves [FOLDER] [--kind NAME] [--show]``; the folder holds a folder a kind, with
``NAME.gold.json`` beside each ``NAME.pdf``, and is ../shared/data/6_pages/extract_bench/dev by default.

Gold has constants and derived values that no page holds. Whether a value stands in a document is therefore asked
of readers that share nothing with this one: ``pdftotext`` of poppler, with and without its layout, and tesseract
for pages that have no text. A value stands there where its letters and digits, or one of the usual ways to write
it as a number or a date, occur between the borders of words. Of these values those count as found that ``holds``
finds in our text; beside them, what it finds in the text that PDFium alone gives.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pypdfium2

from docmill.parsing.grounding import Document
from docmill.reading import DEFAULT_LIMITS, Reader

_WORD = re.compile(r"[^\W_]+")
_ENDING = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b")
LONGEST = 2_000
"""Characters of a value that is looked for; a longer one is a summary."""


@dataclass(kw_only=True)
class Score:
    """What became of the leaves of one kind of document."""

    files: int = 0
    leaves: int = 0
    standing: int = 0
    alone: int = 0
    found: int = 0
    missing: list[tuple[str, object]] = field(default_factory=list)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/6_pages/extract_bench/dev"))
    options.add_argument("--kind")
    options.add_argument("--show", action="store_true", help="name each value that is not found")
    given = options.parse_args()
    for program in ("pdftotext", "pdftoppm", "tesseract"):
        if shutil.which(program) is None:
            raise SystemExit(f"{program} is missing: as on Debian, `apt-get install poppler-utils tesseract-ocr`")
    print(
        f"{'':<20}" + "".join(f"{name:>12}" for name in ("files", "leaves", "standing", "PDFium alone", "found"))
    )
    for folder in sorted(each for each in given.folder.iterdir() if each.is_dir()):
        if given.kind in (None, folder.name):
            _tell(folder.name, _score(folder), show=given.show)


def _tell(kind: str, score: Score, *, show: bool) -> None:
    counts = "".join(f"{count:>12,}" for count in (score.files, score.leaves, score.standing))
    shares = "".join(f"{count / max(score.standing, 1):>12.1%}" for count in (score.alone, score.found))
    print(f"{kind:<20}{counts}{shares}", flush=True)
    for file, value in score.missing if show else ():
        print(f"  {file}: {value!r}")


def _score(folder: Path) -> Score:
    score = Score()
    with Reader(replace(DEFAULT_LIMITS, ocr=True)) as reader:
        for gold in sorted(folder.glob("*.gold.json")):
            pdf = gold.with_name(gold.name.removesuffix(".gold.json") + ".pdf")
            begun = time.monotonic()
            reading = reader.read(pdf)
            took = time.monotonic() - begun
            print(f"  {pdf.name}: {len(reading.pages)} pages in {took:.1f} s; {reading.warning}", flush=True)
            independent = [_Text(text) for text in _independent(pdf)]
            ours, alone = Document(reading.text), Document(_pdfium_alone(pdf))
            score.files += 1
            for value in _leaves(json.loads(gold.read_text(encoding="utf-8"))):
                score.leaves += 1
                if any(text.has(value) for text in independent):
                    score.standing += 1
                    score.alone += alone.holds(value)
                    found = ours.holds(value)
                    score.found += found
                    score.missing += [] if found else [(pdf.name, value)]
    return score


def _leaves(gold: Any) -> Iterator[Any]:
    """The values of an answer that can stand on a page."""
    if isinstance(gold, dict | list):
        for member in gold.values() if isinstance(gold, dict) else gold:
            yield from _leaves(member)
    elif _can_stand(gold):
        yield gold


def _can_stand(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip()) and len(value) <= LONGEST
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- the other readers ---


def _independent(pdf: Path) -> list[str]:
    texts = [_ran("pdftotext", *options, str(pdf), "-") for options in (["-layout"], ["-raw"], [])]
    if any(not page.strip() for page in texts[0].split("\f")[:-1]):
        texts.append(_by_tesseract(pdf))
    return texts


def _by_tesseract(pdf: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        _ran("pdftoppm", "-r", "200", "-gray", "-png", str(pdf), f"{folder}/page")
        return "\n".join(_ran("tesseract", str(page), "-") for page in sorted(Path(folder).glob("*.png")))


def _ran(*command: str) -> str:
    return subprocess.run(command, capture_output=True, check=True).stdout.decode("utf-8", errors="replace")


def _pdfium_alone(pdf: Path) -> str:
    with pypdfium2.PdfDocument(pdf) as document:
        return "\n\n".join(page.get_textpage().get_text_range() for page in document)


# --- whether a value stands in a text ---


class _Text:
    """A text by its words, and by its numbers."""

    def __init__(self, text: str) -> None:
        self._words = f" {' '.join(_WORD.findall(_ENDING.sub('', text).casefold()))} "
        self._numbers = set(_numbers(text))

    def has(self, value: object) -> bool:
        if isinstance(value, str):
            return any(f" {form} " in self._words for form in _forms(value))
        return isinstance(value, int | float) and Decimal(str(value)) in self._numbers


def _numbers(text: str) -> Iterator[Decimal]:
    """Each number, with the sign that a bracket or a minus gives it, and without."""
    for found in re.finditer(r"(?<![\d.,])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\d])", text):
        number = Decimal(found[0].replace(",", ""))
        yield number
        if text[max(0, found.start() - 3) : found.start()].rstrip("$ ").endswith(("(", "-", "−", "–")):
            yield -number


def _forms(value: str) -> Iterator[str]:
    """The ways to write a text, a number or a date, by its words."""
    yield " ".join(_WORD.findall(_ENDING.sub("", value).casefold())) or "\0"
    try:
        day = date.fromisoformat(value)
    except ValueError:
        return
    for shape in ("%B %d %Y", "%d %B %Y", "%b %d %Y", "%d %b %Y", "%m %d %Y", "%m %d %y", "%d %m %Y", "%Y %m %d"):
        written = day.strftime(shape).casefold()
        yield written
        yield re.sub(r"\b0(?=\d\b)", "", written)


if __name__ == "__main__":
    main()
