"""What OCR reads of photographed receipts, by each engine that is installed, and what a page of it costs.

Usage: ``python -m bench.ocr [FOLDER] [--engine NAME] [--show]``; the folder holds ``gold.jsonl`` and the pictures
that it names, and is ../shared/data/6_pages/receipt_images/dev by default. A date or a total counts where
``holds`` finds it in the page's text, a company or an address where its letters and digits stand there in their
order, or nine of ten of its words do. ``--show`` names each that is missing.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from bench.reading import peak_memory
from docmill.parsing import holds
from docmill.reading import DEFAULT_LIMITS, Reader
from docmill.reading.ocr import tesseract
from docmill.reading.values import OcrEngine

FIELDS = ("company", "date", "address", "total")


@dataclass(kw_only=True)
class Score:
    """What one engine found."""

    found: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/6_pages/receipt_images/dev"))
    options.add_argument("--engine", choices=["rapidocr", "tesseract"])
    options.add_argument("--show", action="store_true")
    given = options.parse_args()
    cases = [json.loads(line) for line in (given.folder / "gold.jsonl").read_text(encoding="utf-8").splitlines()]
    print(f"{len(cases)} pictures{'':<9}" + "".join(f"{name:>10}" for name in (*FIELDS, "all", "s a page", "MB")))
    engines: Sequence[OcrEngine] = ("rapidocr", "tesseract") if tesseract.found() else ("rapidocr",)
    for engine in [each for each in engines if given.engine in (None, each)]:
        with peak_memory() as peak:
            score = _score(engine, given.folder, cases, show=given.show)
        counts = [score.found[name] for name in FIELDS]
        share = f"{sum(counts) / len(cases) / len(FIELDS):.1%}"
        seconds = f"{statistics.mean(score.seconds):.2f}"
        row = [*map(str, counts), share, seconds, f"{peak() / 2**20:.0f}"]
        print(f"{engine:<20}" + "".join(f"{cell:>10}" for cell in row))


def _score(engine: OcrEngine, folder: Path, cases: Sequence[Mapping[str, Any]], *, show: bool) -> Score:
    score = Score()
    with Reader(replace(DEFAULT_LIMITS, ocr_engine=engine)) as reader:
        reader.read_scan((folder / cases[0]["file"]).read_bytes(), 0, cases[0]["file"])  # starts the process
        for case in cases:
            body = (folder / case["file"]).read_bytes()
            started = time.perf_counter()
            text = reader.read_scan(body, 0, case["file"]).text
            score.seconds.append(time.perf_counter() - started)
            for name in FIELDS:
                stands = _stands(text, name, case)
                score.found[name] += stands
                if show and not stands:
                    print(f"  {engine}, {case['file']}: no {name} {case['fields'].get(name)!r}")
    return score


def _stands(text: str, name: str, case: Mapping[str, Any]) -> bool:
    if name == "date":
        return holds(text, date.fromisoformat(case["date_iso"]) if case["date_iso"] else case["fields"]["date"])
    if name == "total":
        return holds(text, case["total_number"])
    wanted = case["fields"].get(name) or ""
    words = re.findall(r"\w+", wanted.casefold())
    found = Counter(re.findall(r"\w+", text.casefold()))
    here = sum(found[word] > 0 for word in words)
    return "".join(words) in "".join(re.findall(r"\w+", text.casefold())) or here >= 0.9 * len(words)


if __name__ == "__main__":
    main()
