"""Pictures to text by tesseract, a program that is found on this machine or said to be missing.

What it gives is a guess. So it is asked only where a reader's limits allow it, and each reading that holds some of
its text says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from functools import cache

from docmill.errors import Unreadable
from docmill.processes import end_with_parent
from docmill.reading.values import Limits

__all__ = ["MISSING", "OFF", "deadline_of", "found", "text_in"]

OFF = "OCR is off: set DOCMILL_OCR=on where tesseract is installed"
MISSING = "tesseract, which does OCR, is not installed: as on Debian, `apt-get install tesseract-ocr`"
TOO_LONG = "OCR of it takes too long: split it, or give it with its text"

SPARE_S = 2.0
"""Of a document's time, for everything but its OCR."""
PLACES = f"{os.defpath}:/usr/local/bin:/opt/homebrew/bin"
"""A child that reads has no environment of its own."""
NO_LANGUAGES = frozenset({"osd", "equ", "snum"})
"""What tesseract lists beside its languages: orientation, formulas and numbers."""


@cache
def found() -> str | None:
    """Where the program is; None where it is not."""
    return shutil.which("tesseract", path=PLACES)


def deadline_of(limits: Limits) -> float:
    """When OCR of a document that is read from now on has to end, by ``time.monotonic``."""
    return time.monotonic() + limits.timeout_s - SPARE_S


def text_in(picture: bytes, *, deadline: float) -> str:
    """What is written in a picture (PNG, JPEG, TIFF and others), in any of the languages that are installed.

    Raises Unreadable: unsupported (no tesseract), timeout, corrupt.
    """
    program = found()
    if program is None:
        raise Unreadable("unsupported", MISSING)
    within_s = deadline - time.monotonic()
    if within_s <= 0:
        raise Unreadable("timeout", TOO_LONG)
    try:
        ran = subprocess.run(
            [program, "stdin", "stdout", "-l", _languages(program)],
            input=picture,
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
    return ran.stdout.decode("utf-8", errors="replace")


@cache
def _languages(program: str) -> str:
    listed = subprocess.run([program, "--list-langs"], capture_output=True, timeout=10, check=False, env={})
    names = listed.stdout.decode("utf-8", errors="replace").splitlines()[1:]
    return "+".join(sorted(name.strip() for name in names if name.strip() and name not in NO_LANGUAGES)) or "eng"
