"""The health check of workers in containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.integration.conftest import FEW_FILES

CHECK = (sys.executable, "-m", "workers.health")


def check(database_url: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "DOCMILL_DATABASE_URL": database_url}
    return subprocess.run(CHECK, env=env, capture_output=True, text=True, check=False, timeout=120)


def test_a_worker_that_the_fleet_sees_is_healthy(up: Path) -> None:
    found = check(json.loads((up / "ready.json").read_text())["database_url"])
    assert (found.returncode, found.stderr) == (0, "")


def test_what_has_a_connection_for_each_call_may_open_more_files_than_systems_begin_with(up: Path) -> None:
    pids = json.loads((up / "ready.json").read_text())["pids"]
    allowed = {
        name: psutil.Process(pids[name]).rlimit(psutil.RLIMIT_NOFILE)[0] for name in ("io-1", "api", "cpu-1")
    }
    assert allowed["cpu-1"] == FEW_FILES
    assert min(allowed["io-1"], allowed["api"]) > FEW_FILES


def test_without_its_database_it_says_so_in_one_line() -> None:
    found = check("postgresql://me:sesame@127.0.0.1:1/none")
    assert found.returncode == 1
    assert found.stderr.startswith("docmill: the database at")
    assert "sesame" not in found.stderr
