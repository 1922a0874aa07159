"""The commands and their options."""

from __future__ import annotations

import typer

from docmill.cli.costs import costs
from docmill.cli.demo import demo
from docmill.cli.doctor import doctor
from docmill.cli.jobs import cancel, jobs, result, retry
from docmill.cli.keys import keys
from docmill.cli.prompts import prompts
from docmill.cli.schedules import schedules
from docmill.cli.simulate import simulate
from docmill.cli.submit import submit
from docmill.cli.up import up

__all__ = ["app"]

# Errors are told in one line by `main`; what remains is a defect, and its trace is wanted whole.
app = typer.Typer(name="docmill", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
for command in (up, submit, jobs, result, retry, cancel, costs, doctor, simulate, demo):
    app.command()(command)
app.add_typer(prompts, name="prompts")
app.add_typer(keys, name="keys")
app.add_typer(schedules, name="schedules")
