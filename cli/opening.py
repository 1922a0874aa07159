"""``docmill open``: the page of a job, or of whatever has such an id, key or name."""

from __future__ import annotations

import sys
import webbrowser
from typing import Annotated
from urllib.parse import quote, urlencode

import typer

from cli.console import AsJson, Data, print_json
from docmill.errors import Misconfigured

__all__ = ["open_page"]

PAGES = (
    "jobs", "review", "runs", "prompts", "documents", "collections", "schedules", "costs", "forecast", "budgets",
    "models", "docs",
)  # fmt: skip


def open_page(
    what: Annotated[
        str, typer.Argument(help="A job's id; a page, as review; or what the pages' search finds.", metavar="WHAT")
    ] = "",
    look: Annotated[bool, typer.Option("--address", help="Say the address, and open no browser.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Open a page in the browser, and say its address: a job's, the overview without a word, or any other."""
    from docmill.settings import load_settings
    from workers.stack.addresses import addresses_on, default_data

    api = addresses_on(data or load_settings().data or default_data()).api
    if api is None:
        raise Misconfigured("the stack there has no API: start it with `docmill up`")
    address = f"{api}{_path(what)}"
    if as_json:
        print_json({"address": address})
    else:
        typer.echo(address)
    if not look and not as_json and sys.stdout.isatty():
        webbrowser.open(address)


def _path(what: str) -> str:
    if not what or what in PAGES:
        return f"/{what}"
    return f"/jobs/{quote(what)}" if what.isdecimal() and what.isascii() else f"/search?{urlencode({'q': what})}"
