"""Flower does not start without a password, and says what to do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("options", "env"),
    [
        ((), {}),
        (("--basic-auth=docmill:",), {}),
        ((), {"DOCMILL_FLOWER_PASSWORD": "", "FLOWER_BASIC_AUTH": "docmill"}),
    ],
)
def test_flower_without_a_password(options: tuple[str, ...], env: dict[str, str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCMILL_", "FLOWER_"))}
    found = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "workers.app", "flower", *options],
        env={**kept, "DOCMILL_BROKER_URL": "redis://127.0.0.1:1/0", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert found.returncode == 1
    assert "set DOCMILL_FLOWER_PASSWORD" in found.stderr
    assert "Traceback" not in found.stderr
