"""The ``docmill`` command: one module a noun.

What a command starts is imported inside it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import sys

from docmill.errors import DocmillError
from docmill.visible import visible_lines

__all__ = ["main"]


def main() -> None:
    """Runs a command; what docmill raises on purpose is one line on stderr and exit code 1."""
    try:
        from cli.commands import app
    except ModuleNotFoundError as error:
        sys.exit(f"docmill: {error.name} is not installed: install docmill[app], or run `make install`")
    try:
        app()
    except DocmillError as error:
        sys.exit(f"docmill: {visible_lines(str(error))}")
