"""``docmill status`` and ``down``: a stack that runs, seen and stopped from another terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, print_json, print_table
from docmill.errors import ServiceAway
from docmill.redaction import redacted

if TYPE_CHECKING:
    from workers.stack.addresses import Addresses
    from workers.stack.running import Part

__all__ = ["down", "status"]

Folder = Annotated[Path | None, typer.Option("--data", help="The folder of `docmill up`.")]


def status(data: Folder = None, as_json: AsJson = False) -> None:
    """Show what is up, and where. Exit code 1 says that something is not."""
    from workers.stack.addresses import addresses_on
    from workers.stack.running import parts

    folder = _folder(data)
    addresses = addresses_on(folder)
    found = parts(addresses)
    if as_json:
        for part in found:
            print_json({**asdict(part), "address": _where(part) or None})
    else:
        rows = [(each.name, "up" if each.running else "down", each.pid, _where(each)) for each in found]
        print_table(f"docmill on {folder}", ("part", "is", "process", "where"), rows)
        print_table("Workers that the fleet has seen for 30 s", ("worker", "queue", "slots"), _fleet(addresses))
    raise typer.Exit(0 if all(part.running for part in found) else 1)


def down(
    data: Folder = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove what it kept, too.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Stop the stack that runs on a data folder; what has begun is let finish. `--remove` leaves nothing of it."""
    from workers.stack.running import stop

    folder = _folder(data)
    typer.echo(f"stopped the stack on {folder}" if stop(folder) else f"no stack runs on {folder}")
    if remove and _remove_belongings(folder, asked=not yes):
        _remove_unused(asked=not yes)


def _folder(data: Path | None) -> Path:
    from docmill.settings import load_settings
    from workers.stack.addresses import default_data

    return (data or load_settings().data or default_data()).absolute()


def _where(part: Part) -> str:
    return redacted(part.address or "")


def _fleet(addresses: Addresses) -> Sequence[Sequence[object]]:
    """Lists the workers that report to its database: also those that other commands started."""
    from db.database import open_database
    from db.fleet import seen

    try:
        with open_database(addresses.database_url, pool_size=1) as database:
            return database.run(seen)
    except ServiceAway:
        return []


def _remove_belongings(folder: Path, *, asked: bool) -> bool:
    """Tells whether nothing of the stack is left."""
    from workers.stack.lock import locked
    from workers.stack.removal import belongings, remove

    paths = belongings(folder)
    if not paths:
        typer.echo(f"docmill made nothing in {folder}")
        return True
    if not _agreed("This is what docmill kept; it cannot be had back:", paths, asked=asked):
        return False
    with locked(folder):  # nobody starts in the middle
        remove(paths)
    return True


def _remove_unused(*, asked: bool) -> None:
    from workers.stack.account import POSTGRES_USER
    from workers.stack.removal import remove, unused

    paths = unused()
    if paths and _agreed("No stack needs this any more:", paths, asked=asked):
        remove(paths)
        typer.echo(f"the user {POSTGRES_USER} stays: `userdel {POSTGRES_USER}` removes it")


def _agreed(what: str, paths: Sequence[Path], *, asked: bool) -> bool:
    """Shows what is about to be removed, and waits for a yes where it is to be asked."""
    typer.echo("\n".join((what, *(f"  {path}" for path in paths))))
    return not asked or typer.confirm("Remove it?", default=False)
