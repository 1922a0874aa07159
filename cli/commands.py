"""The commands and their options."""

from __future__ import annotations

import typer

from cli.ask import ask
from cli.budgets import budgets
from cli.collections import collections, index, search
from cli.costs import costs
from cli.demo import demo
from cli.doctor import doctor
from cli.estimate import estimate
from cli.forecast import forecast
from cli.jobs import cancel, jobs, result, retry
from cli.keys import keys
from cli.models import cache, models
from cli.prompts import prompts
from cli.schedules import schedules
from cli.services import api, beat, migrate, worker
from cli.simulate import simulate
from cli.submit import submit
from cli.up import up

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
