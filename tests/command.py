"""The command in the process of the tests: the fixture ``docmill``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cli import main

__all__ = ["Command", "Ran", "docmill"]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ran]


@pytest.fixture
def docmill(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command in this process: a new one takes a second to start."""

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["docmill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        told, code = capsys.readouterr(), ended.value.code
        if isinstance(code, str):  # what Python itself prints at its end
            return Ran(1, told.out, f"{told.err}{code}\n")
        return Ran(code or 0, told.out, told.err)

    return run
