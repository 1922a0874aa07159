"""The ``docmill`` command as the wheel has it: it finds the command's own package, or says how to get it.

The wheel holds the library alone. The command lies beside it in a checkout and in the image, and is loaded by
name.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["main"]


def main() -> None:
    """Runs the command, or exits with a line that says what is missing."""
    try:
        cli = importlib.import_module("cli")
        run = cli.main
    except (ModuleNotFoundError, AttributeError):
        sys.exit(
            "docmill: the command is not part of the library: run it from a checkout (`make install`),"
            " or from the image"
        )
    run()
