"""``docmill keys``: who may use the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table

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
    rows = [(key.id, key.tenant, key.created_at, "revoked" if key.revoked_at else "valid") for key in found]
    print_table("Keys", ("id", "tenant", "made", "is"), rows)


@keys.command()
def add(
    tenant: Annotated[str, typer.Argument(help="Whose jobs the key may see and submit.")] = "default",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a key. It is shown this once."""
    from db.keys import add as make

    with open_stack(data) as (_, database), database.work() as connection:
        key = make(connection, tenant)
    if as_json:
        print_json({"key": key, "tenant": tenant})
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
