"""``python -m tests.fuzz --minutes 30``: rounds of all tests here, each with a seed of its own, until one fails."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.examples import TIMES_VARIABLE

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="no round begins later")
    parser.add_argument("--times", type=int, default=20, help="the examples of `make test`, so many times")
    parser.add_argument("--seed", type=int, help="one round, with this seed")
    parser.add_argument("-k", dest="only", help="tests by name, as pytest takes it")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        sys.exit(play(arguments.seed, arguments))
    began, rounds = time.monotonic(), 0
    while not rounds or time.monotonic() - began < arguments.minutes * 60:
        rounds += 1
        if failed := play(secrets.randbelow(2**32), arguments):
            sys.exit(failed)
    say(f"{rounds} rounds in {(time.monotonic() - began) / 60:.1f} minutes found nothing")


def play(seed: int, arguments: argparse.Namespace) -> int:
    """One round; pytest's exit code."""
    say(f"seed {seed}")
    only = ["-k", arguments.only] if arguments.only else []
    return subprocess.run(
        [sys.executable, "-m", "pytest", str(HERE), "-q", "-x", "--timeout=0", f"--hypothesis-seed={seed}", *only],
        check=False,
        env={**os.environ, TIMES_VARIABLE: str(arguments.times)},
    ).returncode


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
