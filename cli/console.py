"""What the commands share: options, the connection to a stack, and printing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from docmill.bounds import due_at
from docmill.errors import Misconfigured, SubmitRefused

if TYPE_CHECKING:
    from db.database import Database
    from docmill.settings import Settings

__all__ = [
    "AsJson",
    "Data",
    "console",
    "deadline_of",
    "open_stack",
    "print_json",
    "print_table",
    "usd",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Data = Annotated[
    Path | None, typer.Option(help="The folder of the running `docmill up`, unless DOCMILL_DATABASE_URL is set.")
]

# Into a file or a pipe, lines may be as long as they need to be.
console = Console(width=None if sys.stdout.isatty() else 160)

LONG = frozenset({"fields", "told", "where", "document", "last", "waiting"})
"""Columns that may take several lines."""

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@contextmanager
def open_stack(data: Path | None) -> Iterator[tuple[Settings, Database]]:
    """The settings and the database of a running stack. Raises Misconfigured, ServiceAway."""
    from db.database import open_database
    from workers.stack.addresses import settings_of

    settings = settings_of(data)
    with open_database(settings.need("database_url"), pool_size=2) as database:
        yield settings, database


def deadline_of(given: str | None) -> datetime | None:
    """A deadline as a span from now (``90``, ``15m``, ``2h``) or a time of ISO 8601. Raises Misconfigured."""
    if given is None:
        return None
    span = SPAN.fullmatch(given.strip())
    try:
        return due_at(timedelta(**{UNITS[span[2]]: float(span[1])}) if span else datetime.fromisoformat(given))
    except OverflowError as error:
        raise Misconfigured(f"--deadline {given} is further away than there are years") from error
    except SubmitRefused as error:
        raise Misconfigured(f"--{error}") from error
    except ValueError as error:
        raise Misconfigured(
            f"--deadline is a span as in 90s, 15m or 2h, or a time as in 2030-01-31T12:00+01:00, and not {given!r}"
        ) from error


def print_json(value: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; numbers stand to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, pad_edge=False)
    for at, name in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[at], int | float | Decimal) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=name not in LONG)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


def usd(amount: Decimal | None) -> str:
    """An amount in dollars; unknown is not zero."""
    return "unknown" if amount is None else f"{amount:.6f}"
