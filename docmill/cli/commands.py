"""The commands and their options."""

from __future__ import annotations

import typer

from docmill.cli.prompts import prompts
from docmill.cli.simulate import simulate

__all__ = ["app"]

# Errors are told in one line by `main`; what remains is a defect, and its trace is wanted whole.
app = typer.Typer(name="docmill", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.add_typer(prompts, name="prompts")
app.command()(simulate)
