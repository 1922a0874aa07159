"""``python -m setup.install``: a virtual environment with what one lock names, and the checkout itself.

The lock's packages come as wheels with the hashes that the lock has, and nothing is built from source.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from setup.check import problems

__all__ = ["main"]

PINNED = re.compile(r"^\S+==", re.MULTILINE)
SEEN = ("Collecting ", "Requirement already satisfied: ")
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_REQUIREMENT")
"""They would put packages elsewhere, or take what lies elsewhere for installed."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m setup.install", description=__doc__)
    parser.add_argument("lock", type=Path)
    parser.add_argument("--venv", type=Path, default=Path(".venv"))
    parser.add_argument("--megabytes", type=int, required=True, help="how large the lock's packages are")
    parser.add_argument("--checkout", action="store_true", help="the checkout itself too, and its command")
    given = parser.parse_args()
    found = list(problems(given.venv, needed_mb=2 * given.megabytes))  # downloads, unpacked and not
    if found:
        sys.exit("\n".join(("docmill cannot be installed here:", *(f"- {each}" for each in found))))
    began = time.monotonic()
    number = len(PINNED.findall(given.lock.read_text(encoding="utf-8")))
    _say(f"installing {number} packages of {given.lock}, {given.megabytes} MB, into {given.venv}\n")
    python = _make_environment(given.venv)
    _install(python, ["-r", str(given.lock), "--require-hashes", "--only-binary=:all:"], number)
    if given.checkout:
        _install(python, ["--no-build-isolation", "--editable", "."])
    _say(f"installed in {time.monotonic() - began:.0f} s\n")


def _say(words: str) -> None:
    sys.stdout.write(words)
    sys.stdout.flush()


def _make_environment(venv: Path) -> Path:
    """An environment of another Python, or of one that is gone, is made anew."""
    python = venv / "bin" / "python"
    if venv.exists() and _version(python) != _version(Path(sys.executable)):
        shutil.rmtree(venv)
    if not (venv / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", str(venv)])
    return python


def _version(python: Path) -> str:
    command = [str(python), "-c", "import sys; print(sys.version)"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""


def _install(python: Path, what: Sequence[str], number: int = 0) -> None:
    """Shows how far pip is, where a person watches."""
    _run([str(python), "-m", "pip", "install", "--no-user", "--no-deps", "--progress-bar=off", *what], number)


def _run(command: Sequence[str], number: int = 0) -> None:
    """Runs a program quietly. Exits with the end of what it said where it fails."""
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    said: list[str] = []
    seen = 0
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if number and sys.stdout.isatty() and line.startswith(SEEN):
                seen += 1
                _say(f"\r{seen} of {number} fetched" + (", unpacking\n" if seen == number else ""))
    if process.returncode:
        sys.exit("".join(said[-20:]) + f"docmill was not installed: {' '.join(command[:4])} failed as said above")


if __name__ == "__main__":
    main()
