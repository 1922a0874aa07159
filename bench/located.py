"""How many values of real documents are found, and on the right page, when the answer is known.

Usage: ``python -m bench.located [FOLDER] [--ocr] [--show] [--json]``; the folder holds a folder a kind with
``NAME.pdf`` beside ``NAME.gold.json``, and is ../shared/data/6_pages/extract_bench/dev by default. Each scalar of
an answer is looked for as ``parse`` does it, and held against another reading, that of poppler's ``pdftotext``,
searched in the plainest way. Told are the shares of all values that are located (constants are nowhere), of those
that the other reading has, and of those that it has on one page only the share that is located on that page. Scans
are read where ``--ocr`` says so, which takes minutes; else there is nothing in them to be found.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from docmill.parsing import Place, locate
from docmill.parsing.bounds import leaves
from docmill.reading import Limits, Reading, read
from docmill.reading.scans import read_scan
from docmill.reading.values import with_scans

GOLD = Path("../shared/data/6_pages/extract_bench/dev")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
WORD = re.compile(r"[^\W_]+")


@dataclass(kw_only=True)
class Found:
    """What became of the values of some documents."""

    values: int = 0
    """Texts and numbers; what is null, a yes or a no stands nowhere."""
    located: int = 0
    elsewhere: int = 0
    """Those that the other reading has, and of these those that are located."""
    elsewhere_located: int = 0
    on_one_page: int = 0
    """Those that it has on one page only."""
    page_right: int = 0
    read_s: float = 0.0
    locate_s: float = 0.0
    missed: list[str] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Sums two."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", type=Path, default=GOLD)
    options.add_argument("--ocr", action="store_true")
    options.add_argument("--show", action="store_true", help="each value whose page is another one")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    if shutil.which("pdftotext") is None:
        sys.exit("pdftotext is not installed: as on Debian, `apt-get install poppler-utils`")
    kinds = {
        folder.name: judged_kind(folder, ocr=asked.ocr)
        for folder in sorted(asked.folder.iterdir())
        if folder.is_dir()
    }
    total = Found()
    for found in kinds.values():
        total.add(found)
    told = {kind: figures(found) for kind, found in {**kinds, "all": total}.items()}
    print(json.dumps(told) if asked.json else "\n".join(f"{kind:<20}{row}" for kind, row in told.items()))
    for line in total.missed if asked.show else ():
        print(line)


def figures(found: Found) -> dict[str, Any]:
    shares = {
        "located_share": round(found.located / max(1, found.values), 3),
        "elsewhere_share": round(found.elsewhere_located / max(1, found.elsewhere), 3),
        "page_share": round(found.page_right / max(1, found.on_one_page), 3),
    }
    counts = {name: round(value, 2) for name, value in asdict(found).items() if name != "missed"}
    return {**counts, **shares}


def judged_kind(folder: Path, *, ocr: bool) -> Found:
    """All documents of a kind."""
    total = Found()
    for file in sorted(folder.glob("*.pdf")):
        total.add(judged(file, json.loads(file.with_suffix(".gold.json").read_text()), ocr=ocr))
    return total


def judged(file: Path, gold: object, *, ocr: bool) -> Found:
    """One document's values, against where another reading has them."""
    began = time.process_time()
    reading = whole(file) if ocr else read(file, limits=Limits())
    read_at = time.process_time()
    places = locate(gold, reading)
    found = Found(read_s=read_at - began, locate_s=time.process_time() - read_at)
    others = [Plain(page) for page in pages_of(file)]
    for path, value in leaves(gold):
        if isinstance(value, str | int | float) and not isinstance(value, bool) and str(value).strip():
            judge(found, f"{file.stem} {path}", value, places[path], others)
    return found


def judge(found: Found, name: str, value: str | float, place: Place, others: Sequence[Plain]) -> None:
    """Counts a value."""
    found.values += 1
    found.located += place.found
    holding = [number for number, page in enumerate(others, start=1) if page.has(value)]
    found.elsewhere += bool(holding)
    found.elsewhere_located += bool(holding) and place.found
    if len(holding) != 1:
        return
    found.on_one_page += 1
    found.page_right += place.page == holding[0]
    if place.page != holding[0]:
        found.missed.append(f"{name}: {value!r} on page {place.page}, {place.quote!r}; it is on page {holding[0]}")


def whole(file: Path) -> Reading:
    """A document with what OCR finds on its scans."""
    limits, body = Limits(ocr=True), file.read_bytes()
    reading = read(file, limits=replace(limits, ocr=False))
    return with_scans(reading, {page: read_scan(body, page, limits=limits) for page in reading.scans})


def pages_of(file: Path) -> list[str]:
    """The text of each page, as pdftotext reads it."""
    ran = subprocess.run(["pdftotext", "-enc", "UTF-8", str(file), "-"], capture_output=True, check=True)
    return ran.stdout.decode("utf-8", "replace").split("\f")[:-1]


class Plain:
    """A page's words in a row, and its numbers."""

    def __init__(self, text: str) -> None:
        text = unicodedata.normalize("NFKC", text)
        self._words = f" {' '.join(WORD.findall(text.casefold()))} "
        self._numbers = {written.replace(",", "") for written in NUMBER.findall(text)}

    def has(self, value: str | float) -> bool:
        """Whether a text's words stand here in their order, or a number's digits."""
        if isinstance(value, str):
            words = " ".join(WORD.findall(unicodedata.normalize("NFKC", value).casefold()))
            return bool(words) and f" {words} " in self._words
        return not self._numbers.isdisjoint(written_as(abs(value)))


def written_as(value: float) -> Iterator[str]:
    """A number as a table may have it: with as many decimals as it takes, and with one or two."""
    yield f"{value:g}" if value < 1e6 else f"{value:.10g}"
    yield from (f"{value:.{places}f}" for places in (0, 1, 2, 3) if round(value, places) == value)


if __name__ == "__main__":
    main()
