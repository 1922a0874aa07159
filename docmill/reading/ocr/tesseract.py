"""Tesseract, a program that is found on this machine or said to be missing: for scripts that RapidOCR lacks."""

from __future__ import annotations

import csv
import io
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import cache

from PIL import Image

from docmill.errors import Unreadable
from docmill.processes import end_with_parent
from docmill.reading.layout.words import Word

__all__ = ["MISSING", "found", "words_in"]

MISSING = "tesseract is not installed: as on Debian, `apt-get install tesseract-ocr`, or set DOCMILL_OCR=on"
TOO_LONG = "OCR of it takes too long: split it, or give it with its text"

EXCESS = 0.0
"""Its boxes are as high as the letters."""
PLACES = f"{os.defpath}:/usr/local/bin:/opt/homebrew/bin"
"""A child that reads has no environment of its own."""
NO_LANGUAGES = frozenset({"osd", "equ", "snum"})
"""What tesseract lists beside its languages: orientation, formulas and numbers."""


@cache
def found() -> str | None:
    """Returns where the program is; None where it is not."""
    return shutil.which("tesseract", path=PLACES)


def words_in(picture: Image.Image, *, within_s: float) -> list[Word]:
    """Returns the words of a picture in its own dots, in any of the languages that are installed.

    Raises Unreadable: unsupported (no tesseract), timeout, corrupt.
    """
    program = found()
    if program is None:
        raise Unreadable("unsupported", MISSING)
    written = io.BytesIO()
    picture.convert("RGB").save(written, "PPM")
    try:
        ran = subprocess.run(
            [program, "stdin", "stdout", "-l", _languages(program), "tsv"],
            input=written.getvalue(),
            capture_output=True,
            timeout=within_s,
            check=False,
            # One thread: the machine's cores are shared by those who read.
            env={"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"},
            preexec_fn=lambda: end_with_parent(signal.SIGKILL),
        )
    except subprocess.TimeoutExpired as error:
        raise Unreadable("timeout", TOO_LONG) from error
    if ran.returncode:
        raise Unreadable(
            "corrupt", f"tesseract cannot read the picture (exit code {ran.returncode}): save it again"
        )
    return list(_words(ran.stdout.decode("utf-8", errors="replace")))


def _words(table: str) -> Iterator[Word]:
    """The words of tesseract's table, which has a row for each block, line and word."""
    for number, row in enumerate(csv.DictReader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)):
        text = (row.get("text") or "").strip()
        if row.get("level") == "5" and text:
            x, y, width, height = (float(row[name]) for name in ("left", "top", "width", "height"))
            yield Word(text, x, y, x + width, y + height, number)


@cache
def _languages(program: str) -> str:
    listed = subprocess.run([program, "--list-langs"], capture_output=True, timeout=10, check=False, env={})
    names = listed.stdout.decode("utf-8", errors="replace").splitlines()[1:]
    return "+".join(sorted(name.strip() for name in names if name.strip() and name not in NO_LANGUAGES)) or "eng"
