"""``docmill keys``: who may use the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, deadline_of, open_stack, print_json, print_table

if TYPE_CHECKING:
    from db.keys import Key

__all__ = ["keys"]

keys = typer.Typer(help="Keys of the HTTP API, each with its tenant.", no_args_is_help=True)


@keys.command("list")
def list_keys(as_json: AsJson = False, data: Data = None) -> None:
    """Every key, by its id; the keys themselves are kept nowhere."""
    from db.keys import listed

    with open_stack(data) as (_, database), database.work() as connection:
        found = listed(connection)
    if as_json:
        for key in found:
            print_json(vars(key))
        return
    rows = [
        (key.id, key.tenant, key.name, ", ".join(key.scopes), key.created_at, key.used_at or "never", _state(key))
        for key in found
    ]
    print_table("Keys", ("id", "tenant", "name", "scopes", "made", "last used", "is"), rows)


def _state(key: Key) -> str:
    from datetime import UTC, datetime

    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "valid"
    return "expired" if key.expires_at <= datetime.now(UTC) else f"valid until {key.expires_at:%Y-%m-%d %H:%M}"


@keys.command()
def add(
    tenant: Annotated[str, typer.Argument(help="Whose jobs the key may see and submit.")] = "default",
    name: Annotated[str, typer.Option(help="Whose key it is: the author of what is decided with it.")] = "",
    scopes: Annotated[
        str, typer.Option(help="Of submit, read, review, operate, money and admin, parted by commas.")
    ] = "submit,read,operate",
    until: Annotated[
        str | None, typer.Option(help="When it ends: a span from now as in 90d, or a time of ISO 8601.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a key. It is shown this once."""
    from db.keys import add as make

    wanted = [scope.strip() for scope in scopes.split(",") if scope.strip()]
    with open_stack(data) as (_, database), database.work() as connection:
        key = make(connection, tenant, name=name, scopes=wanted, expires_at=deadline_of(until, option="--until"))
    if as_json:
        print_json({"key": key, "tenant": tenant, "name": name, "scopes": wanted})
    else:
        typer.echo(f"{key}\nIt is shown this once: keep it where secrets are kept.")


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False, data: Data = None
) -> None:
    """End a key."""
    from db.keys import revoke as end

    with open_stack(data) as (_, database), database.work() as connection:
        end(connection, key_id)
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        typer.echo(f"key {key_id} is valid no more")
