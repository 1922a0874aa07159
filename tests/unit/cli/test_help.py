"""Help is there at once: what commands work with is loaded when they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {"asyncio", "celery", "docmill.llm", "docmill.money", "httpx", "sqlalchemy", "ssl", "numpy"}
"""They take from 15 ms to a second each. (Pydantic takes some, too: typer has it for options.)"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["--version"], ["submit", "-h"], ["budgets", "set", "-h"]]
)
def test_help_loads_nothing_slow(arguments: list[str]) -> None:
    script = (
        "import sys, cli\n"
        f"sys.argv = ['docmill', *{arguments}]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('loaded', sorted({SLOW} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "loaded []"
    assert "docmill" in found.stdout
