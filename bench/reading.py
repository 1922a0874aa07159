"""Real files, a third of them broken or hostile: whether each ends as it should, and what reading costs.

Usage: ``python -m bench.reading [FOLDER]``; the folder holds ``gold.jsonl`` and the files it names, and is
../shared/data/3_formats/dev by default. Beside it, what each format's library does alone: in this process, without
limits, page numbers, cleaning or a child that may die of a file.
"""

from __future__ import annotations

import argparse
import email
import io
import json
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email import policy
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import psutil
import pypdfium2
from inscriptis import get_text

from docmill.errors import Unreadable
from docmill.reading import Reader
from docmill.reading.media import DOCX, EMAIL, HTML, PDF, PPTX, XLSX

ROUNDS = 5


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data/3_formats/dev"))
    folder = options.parse_args().folder
    cases = [json.loads(line) for line in (folder / "gold.jsonl").read_text(encoding="utf-8").splitlines()]
    with Reader() as reader:
        readable = _ends(reader, folder, cases)
        _speeds(reader, readable)


def _ends(reader: Reader, folder: Path, cases: Sequence[Mapping[str, Any]]) -> dict[str, list[bytes]]:
    """Tells how the files end; those that are read, by their kind."""
    readable: dict[str, list[bytes]] = {}
    expected, slowest, ends = 0, 0.0, Counter[str]()
    with peak_memory() as peak:
        for case in cases:
            body = (folder / case["file"]).read_bytes()
            started = time.monotonic()
            end, kind = _end(reader, body, case)
            slowest = max(slowest, time.monotonic() - started)
            fits = _fits(case["expect"], end)
            expected += fits
            ends[end] += 1
            if not fits:
                print(f"  {case['id']}: {case['expect']} was expected, and it is {end}")
            if kind is not None:
                readable.setdefault(kind, []).append(body)
    told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    print(f"{len(cases)} files: {told}")
    print(f"as expected{expected / len(cases):>51.1%}")
    print(f"slowest file, s{slowest:>47.2f}")
    print(f"most memory that a reading process held, MB{peak() / 2**20:>19.0f}")
    return readable


def _end(reader: Reader, body: bytes, case: Mapping[str, Any]) -> tuple[str, str | None]:
    """``text``, ``empty``, ``other text`` or the kind of the refusal; and the media type of what is read."""
    try:
        found = reader.read_bytes(body, name=Path(case["file"]).name)
    except Unreadable as error:
        return error.kind, None
    if found.empty:
        return "empty", None
    whole = _plain(found.text)
    held = all(_plain(words) in whole for words in case.get("must_contain") or ())
    return ("text" if held else "other text"), found.media_type


def _fits(expected: str, end: str) -> bool:
    if expected == "any":
        return True
    if expected in ("refuse", "refuse_path"):
        return end not in ("text", "other text", "empty") or (expected == "refuse_path" and end == "empty")
    # An image that is called a PDF is no broken PDF.
    return end == expected or (expected == "corrupt" and end == "unsupported")


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split())


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """The most that any child of this process has held in memory, in bytes, looked at every few milliseconds."""
    most, over = 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            for child in psutil.Process().children():
                try:
                    most = max(most, child.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield lambda: most
    over.set()
    watcher.join()


def _speeds(reader: Reader, readable: Mapping[str, Sequence[bytes]]) -> None:
    print(f"\n{'':<8}{'files':>8}{'pages':>8}{'pages a second':>18}{'the library alone':>20}")
    for kind, name, alone in ALONE:
        bodies = readable.get(kind, ())
        if not bodies:
            continue
        pages = sum(alone(body) for body in bodies)
        ours = _seconds(bodies, lambda body: reader.read_bytes(body, media_type=kind))  # noqa: B023 - called at once
        theirs = _seconds(bodies, alone)
        print(f"{name:<8}{len(bodies):>8}{pages:>8}{pages / ours:>18,.0f}{pages / theirs:>20,.0f}")


def _seconds(bodies: Sequence[bytes], read: Callable[[bytes], object]) -> float:
    """The fastest of some rounds over all of them."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for body in bodies:
            read(body)
        times.append(time.perf_counter() - started)
    return min(times)


def _pdf(body: bytes) -> int:
    with pypdfium2.PdfDocument(body) as document:
        for page in document:
            page.get_textpage().get_text_range()
        return len(document)


def _docx(body: bytes) -> int:
    document = docx.Document(io.BytesIO(body))
    _ = [paragraph.text for paragraph in document.paragraphs]
    _ = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    return 1


def _xlsx(body: bytes) -> int:
    workbook = openpyxl.load_workbook(io.BytesIO(body), read_only=True, data_only=True)
    _ = [row for sheet in workbook.worksheets for row in sheet.iter_rows(values_only=True)]
    return len(workbook.worksheets)


def _pptx(body: bytes) -> int:
    slides = list(pptx.Presentation(io.BytesIO(body)).slides)
    _ = [shape.text_frame.text for slide in slides for shape in slide.shapes if shape.has_text_frame]
    return len(slides)


def _html(body: bytes) -> int:
    get_text(body.decode("utf-8", errors="replace"))
    return 1


def _mail(body: bytes) -> int:
    message = email.message_from_bytes(body, policy=policy.default)
    _ = [part.get_payload(decode=True) for part in message.walk()]
    return 1


ALONE: tuple[tuple[str, str, Callable[[bytes], int]], ...] = (
    (PDF, "PDF", _pdf),
    (DOCX, "docx", _docx),
    (XLSX, "xlsx", _xlsx),
    (PPTX, "pptx", _pptx),
    (HTML, "HTML", _html),
    (EMAIL, "mail", _mail),
)
"""Each format's library by itself, and how many pages it finds."""


if __name__ == "__main__":
    main()
