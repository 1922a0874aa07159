"""Seconds until ``docmill up`` is ready, on a new folder and on one that was used before, and the CPU it takes.

    .venv/bin/python -m bench.starting [--json]

CPU is of all that runs then, Postgres included, and of what has ended on the way. Memory is of
the workers, once all are ready. Each is measured three times, and the middle one is told.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.harness import tell
from bench.stack import cpu_seconds, workers_pss
from workers.stack.places import scratch

ROUNDS = 3
WANTED_S = 8.0


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        with scratch("starting") as folder:
            rounds.append({**started(folder, "new folder"), **started(folder, "used folder")})
    figures = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    tell("starting", {**figures, "seconds, at most as wanted": WANTED_S}, "seconds, at most as wanted")


def started(folder: Path, name: str) -> dict[str, float]:
    """Starts the stack, and stops it as soon as it is ready."""
    ready = folder / "up.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "docmill", "up", "--data", str(folder / "stack"), "--ready-file", str(ready)]
    began = time.monotonic()
    up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if up.poll() is not None:
                sys.exit("the stack did not come up: run `docmill up` to see why")
            time.sleep(0.01)
        took_s = time.monotonic() - began
        return {
            f"seconds, {name}": took_s,
            f"CPU seconds, {name}": cpu_seconds(up.pid),
            f"PSS MB of the workers, {name}": sum(workers_pss(folder / "stack").values()) / 1e6,
        }
    finally:
        up.terminate()
        up.wait()


if __name__ == "__main__":
    main()
