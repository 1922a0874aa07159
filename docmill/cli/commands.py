"""The commands and their options."""

from __future__ import annotations

import typer

from docmill.cli.ask import ask
from docmill.cli.budgets import budgets
from docmill.cli.collections import collections, index, search
from docmill.cli.costs import costs
from docmill.cli.demo import demo
from docmill.cli.doctor import doctor
from docmill.cli.estimate import estimate
from docmill.cli.forecast import forecast
from docmill.cli.jobs import cancel, jobs, result, retry
from docmill.cli.keys import keys
from docmill.cli.models import cache, models
from docmill.cli.prompts import prompts
from docmill.cli.schedules import schedules
from docmill.cli.services import api, beat, migrate, worker
from docmill.cli.simulate import simulate
from docmill.cli.submit import submit
from docmill.cli.up import up

__all__ = ["app"]

COMMANDS = (
    up,
    submit,
    index,
    search,
    ask,
    jobs,
    result,
    retry,
    cancel,
    costs,
    estimate,
    forecast,
    doctor,
    demo,
    simulate,
)
PARTS = (migrate, worker, api, beat)
GROUPS = {
    "collections": collections,
    "budgets": budgets,
    "prompts": prompts,
    "schedules": schedules,
    "keys": keys,
    "models": models,
    "cache": cache,
}

# Errors are told in one line by `main`; what remains is a defect, and its trace is wanted whole.
app = typer.Typer(name="docmill", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
for command in COMMANDS:
    app.command()(command)
for part in PARTS:
    app.command(rich_help_panel="Parts of a stack")(part)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)
