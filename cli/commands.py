"""The commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ask import ask
from cli.budgets import budgets
from cli.collections import collections, index, search
from cli.costs import costs
from cli.demo import demo
from cli.doctor import doctor
from cli.estimate import estimate
from cli.export import export
from cli.forecast import forecast
from cli.jobs import cancel, jobs, result, retry
from cli.keys import keys
from cli.models import cache, models
from cli.nouns import Noun
from cli.prompts import prompts
from cli.reviews import reviews
from cli.runs import runs
from cli.schedules import schedules
from cli.services import api, beat, migrate, worker
from cli.simulate import simulate
from cli.stack import down, status
from cli.submit import submit
from cli.trial import try_prompt
from cli.up import up
from cli.webhooks import webhooks
from docmill import __version__

__all__ = ["app"]

COMMANDS = (
    up,
    status,
    down,
    submit,
    index,
    search,
    ask,
    result,
    retry,
    cancel,
    export,
    costs,
    estimate,
    forecast,
    doctor,
    demo,
    simulate,
)
PARTS = (migrate, worker, api, beat)
GROUPS = {
    "jobs": jobs,
    "runs": runs,
    "collections": collections,
    "budgets": budgets,
    "prompts": prompts,
    "reviews": reviews,
    "schedules": schedules,
    "keys": keys,
    "webhooks": webhooks,
    "models": models,
    "cache": cache,
}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"docmill {__version__}")
        raise typer.Exit


# Errors are told in one line by `main`; what remains is a defect, and its trace is wanted whole.
app = typer.Typer(
    name="docmill",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def docmill(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Documents through language models: checked, priced, structured answers."""


for command in COMMANDS:
    app.command()(command)
app.command("try")(try_prompt)
for part in PARTS:
    app.command(rich_help_panel="Parts of a stack")(part)
for name, group in GROUPS.items():
    app.add_typer(group, name=name, cls=Noun)
