"""What the commands share: options, the connection to a stack, and printing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.table import made_console, print_table
from docmill.bounds import due_at
from docmill.errors import Misconfigured, SubmitRefused

if TYPE_CHECKING:
    from db.database import Database
    from docmill.settings import Settings

__all__ = [
    "AsJson",
    "Data",
    "agree",
    "console",
    "deadline_of",
    "open_stack",
    "print_json",
    "print_table",
    "time_of",
    "usd",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Data = Annotated[
    Path | None, typer.Option(help="The folder of the running `docmill up`, unless DOCMILL_DATABASE_URL is set.")
]

console = made_console()

SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@contextmanager
def open_stack(data: Path | None) -> Iterator[tuple[Settings, Database]]:
    """The settings and the database of a running stack. Raises Misconfigured, ServiceAway."""
    from db.database import open_database
    from docmill.logs import configure_commands_logs
    from workers.stack.addresses import settings_of

    configure_commands_logs()
    settings = settings_of(data)
    with open_database(settings.need("database_url"), pool_size=2) as database:
        yield settings, database


def deadline_of(given: str | None, *, option: str = "--deadline") -> datetime | None:
    """What an option gives: a span from now (``90``, ``2h``) or a time of ISO 8601. Raises Misconfigured."""
    if given is None:
        return None
    span = SPAN.fullmatch(given.strip())
    try:
        return due_at(timedelta(**{UNITS[span[2]]: float(span[1])}) if span else datetime.fromisoformat(given))
    except OverflowError as error:
        raise Misconfigured(f"{option} {given} is further away than there are years") from error
    except SubmitRefused as error:
        raise Misconfigured(str(error).replace("deadline", option, 1)) from error
    except ValueError as error:
        raise Misconfigured(
            f"{option} is a span as in 90s, 15m or 2h, or a time as in 2030-01-31T12:00+01:00, and not {given!r}"
        ) from error


def time_of(given: str | None, option: str) -> datetime | None:
    """A time of ISO 8601, or a span back from now as in ``2h``. Raises Misconfigured, which names the option."""
    if given is None:
        return None
    span = SPAN.fullmatch(given.strip())
    try:
        if span:
            return datetime.now(UTC) - timedelta(**{UNITS[span[2]]: float(span[1])})
        at = datetime.fromisoformat(given.strip())
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise Misconfigured(
            f"--{option} is a span back as in 90m, 2h or 30d, or a time as in 2026-01-31T12:00, and not {given!r}"
        ) from error


def agree(price: str, *, yes: bool) -> None:
    """Says what it comes to; on a terminal somebody has to agree. Raises typer.Abort."""
    if yes or not sys.stdin.isatty():
        typer.echo(price, err=True)
    else:
        typer.confirm(f"{price}. Go on?", abort=True, err=True)


def print_json(value: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def usd(amount: Decimal | None) -> str:
    """An amount in dollars, to a millionth, or with all its digits where there are more; unknown is not zero."""
    if amount is None:
        return "unknown"
    short = f"{amount:.6f}"
    return short if Decimal(short) == amount else f"{amount:f}".rstrip("0")
