"""How a benchmark tells what it found: machine, versions and date, then ratios; with --json as JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

__all__ = ["tell"]

PARTS = ("celery", "kombu", "redis", "sqlalchemy", "psycopg", "pydantic", "httpx")


def tell(name: str, figures: Mapping[str, float], baseline: str) -> None:
    """Prints each figure, and how many times the baseline it is."""
    found = {
        "benchmark": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": {part: version(part) for part in PARTS},
        "figures": {key: round(value, 3) for key, value in figures.items()},
        "ratios": {key: round(value / figures[baseline], 3) for key, value in figures.items() if key != baseline},
        "baseline": baseline,
    }
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print(f"{name}: {found['date']}, {found['machine']}, Python {found['python']}")
    for key, value in figures.items():
        against = "" if key == baseline else f"   {value / figures[baseline]:.2f} × {baseline}"
        print(f"  {key:<34}{value:>10.2f}{against}")
