"""The ``docmill`` command: one module a noun.

What a command starts is imported inside it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from docmill.errors import DocmillError
from docmill.visible import visible_lines

__all__ = ["main"]

REFUSED = "UsageError"
"""The kind of what a command's words are refused for: an option that it has not, an argument that is missing."""


def main() -> None:
    """Runs a command; what docmill raises on purpose is a line on stderr (JSON with --json), and exit code 1.

    So is what a command's words are refused for, with exit code 2; to people it is shown in a frame.
    """
    try:
        from cli.commands import app
    except ModuleNotFoundError as error:
        sys.exit(f"docmill: {error.name} is not installed: install docmill[app], or run `make install`")
    for_programs = "--json" in sys.argv
    try:
        sys.exit(_run_for_programs(app) if for_programs else app())
    except DocmillError as error:
        if for_programs:
            _tell(type(error).__name__, str(error))
            sys.exit(1)
        sys.exit(f"docmill: {visible_lines(str(error))}")


def _run_for_programs(app: Callable[..., int | None]) -> int:
    """Runs a command, and returns its exit code."""
    from typer import Abort
    from typer.exceptions import TyperException

    try:
        return app(standalone_mode=False) or 0
    except Abort:
        return 1
    except TyperException as error:
        _tell(REFUSED, error.format_message())
        return error.exit_code


def _tell(kind: str, message: str) -> None:
    sys.stderr.write(json.dumps({"error": {"kind": kind, "message": message}}) + "\n")
