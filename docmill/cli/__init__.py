"""The ``docmill`` command.

What it starts is imported late, inside the commands: the library in the wheel does without it.
"""

from __future__ import annotations

import sys

from docmill.errors import DocmillError

__all__ = ["main"]


def main() -> None:
    """Runs a command; what docmill raises on purpose is one line on stderr and exit code 1."""
    try:
        from docmill.cli.commands import app
    except ModuleNotFoundError as error:
        sys.exit(f"docmill: {error.name} is not installed: install docmill[app], or run `make install`")
    try:
        app()
    except DocmillError as error:
        sys.exit(f"docmill: {error}")
