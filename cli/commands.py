"""The commands and their options."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.ask import ask
from cli.collections import index, search
from cli.costs import costs
from cli.estimate import estimate
from cli.export import export
from cli.forecast import forecast
from cli.groups import GROUPS
from cli.jobs import cancel, result, retry
from cli.nouns import Noun
from cli.opening import open_page
from cli.operating import PARTS, RUNNING, TRYING
from cli.submit import submit
from cli.trial import try_prompt
from docmill import __version__

__all__ = ["app"]

COMMANDS = (
    *RUNNING,
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
    *TRYING,
)


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
app.command("open")(open_page)
for part in PARTS:
    app.command(rich_help_panel="Parts of a stack")(part)
for name, group in GROUPS.items():
    app.add_typer(group, name=name, cls=Noun)
