"""The health check of workers in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CHECK = (sys.executable, "-m", "workers.health")


def check(database_url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DOCMILL_DATABASE_URL": database_url}
    return subprocess.run(CHECK, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_worker_that_the_fleet_sees_is_healthy(up: Path) -> None:
    found = check(json.loads((up / "ready.json").read_text())["database_url"])
    assert (found.returncode, found.stderr) == (0, "")


def test_without_its_database_it_says_so_in_one_line() -> None:
    found = check("postgresql://me:sesame@127.0.0.1:1/none")
    assert found.returncode == 1
    assert found.stderr.startswith("docmill: the database at")
    assert "sesame" not in found.stderr
