"""The ``docmill`` command: one module a noun.

What a command starts is imported inside it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys

from docmill.errors import DocmillError
from docmill.visible import visible_lines

__all__ = ["main"]


def main() -> None:
    """Runs a command; what docmill raises on purpose is a line on stderr (JSON with --json), and exit code 1."""
    try:
        from cli.commands import app
    except ModuleNotFoundError as error:
        sys.exit(f"docmill: {error.name} is not installed: install docmill[app], or run `make install`")
    try:
        app()
    except DocmillError as error:
        if "--json" in sys.argv:
            sys.exit(json.dumps({"error": {"kind": type(error).__name__, "message": str(error)}}))
        sys.exit(f"docmill: {visible_lines(str(error))}")
