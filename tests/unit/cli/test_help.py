"""Help is there at once: what commands work with is loaded when they run."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jobs", "--bogus"], "No such option: --bogus"),
        (["nonsense"], "No such command 'nonsense'"),
        (["result"], "Missing argument"),
        (["result", "seven"], "Invalid value for 'ID'"),
        (["costs", "spare"], "unexpected extra argument"),
    ],
)
def test_a_program_is_told_in_json_what_its_words_are_refused_for(arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "cli", *arguments]
    found = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, shown.returncode) == (2, 2)
    assert found.stdout == ""
    (line,) = found.stderr.splitlines()
    error = json.loads(line)["error"]
    assert error["kind"] == "UsageError"
    assert told in error["message"]
    assert "Usage: " in shown.stderr
