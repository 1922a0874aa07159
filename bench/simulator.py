"""The simulated provider by itself, for a benchmark that scripts it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["limits_known", "simulated"]

CONFIG = """
[models.small]
provider = "simulator"
model = "sim-small"
requests_per_minute = 600000
tokens_per_minute = 600000000
"""


@contextmanager
def simulated(folder: Path, *options: str) -> Iterator[str]:
    """Serves at any free port; yields the address. ``options`` are those of ``docmill simulate``."""
    ready = folder / "simulator.json"
    ready.unlink(missing_ok=True)  # of one that ran here before
    command = [sys.executable, "-m", "docmill", "simulate", "--ready-file", str(ready), "--port", "0", *options]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not ready.exists():
            if running.poll() is not None:
                sys.exit("the simulator did not come up")
            time.sleep(0.05)
        yield str(json.loads(ready.read_text(encoding="utf-8"))["url"])
    finally:
        running.terminate()
        running.wait()


@contextmanager
def limits_known() -> Iterator[str]:
    """A docmill.toml with limits so high that all the fleet's slots are in calls at once.

    Of limits that nobody knows one call goes first, and each answer opens one more.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "docmill.toml"
        path.write_text(CONFIG, encoding="utf-8")
        yield str(path)
