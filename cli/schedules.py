"""``docmill schedules``: documents that are submitted again and again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, cast

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table
from docmill.errors import Misconfigured

__all__ = ["schedules"]

schedules = typer.Typer(help="Documents that are submitted again and again.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME")]


@schedules.command("list")
def list_schedules(
    tenant: Annotated[str | None, typer.Option(help="Only those of this tenant.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Every schedule, when it runs next, and what came of its last slot."""
    from db.schedules import listed

    with open_stack(data) as (_, database), database.work() as connection:
        found = listed(connection, tenant=tenant)
    if as_json:
        for schedule, last in found:
            print_json({**vars(schedule), "last": last and vars(last)})
        return
    rows = [
        (
            each.name,
            each.tenant,
            each.cron,
            each.time_zone,
            each.submit.get("prompt"),
            each.catch_up,
            "paused" if each.paused else _minute(each.next_at),
            last and f"{_minute(last.slot)}: {last.jobs} jobs{f', {last.failure}' if last.failure else ''}",
        )
        for each, last in found
    ]
    print_table("Schedules", ("name", "tenant", "cron", "time zone", "prompt", "catch up", "next", "last"), rows)


@schedules.command()
def add(
    name: Name,
    paths: Annotated[list[Path] | None, typer.Argument(help="Files or folders, as they lie there then.")] = None,
    cron: Annotated[str, typer.Option(help="As in '30 3 * * 1-5'.")] = ...,  # type: ignore[assignment] # required
    prompt: Annotated[str, typer.Option()] = ...,  # type: ignore[assignment] # required
    text: Annotated[str | None, typer.Option(help="A text instead of files.")] = None,
    time_zone: str = "UTC",
    feature: str = "default",
    user: str = "",
    tenant: Annotated[str, typer.Option(help="Whose jobs its slots are.")] = "default",
    catch_up: Annotated[str, typer.Option(help="What about slots missed: all, last or none.")] = "last",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Submit documents whenever a cron expression says so."""
    from db.schedules import CatchUp
    from db.schedules import add as make
    from tasks.upkeep.schedules import Wanted
    from workers.registry import registry_of

    if catch_up not in ("all", "last", "none"):
        raise Misconfigured(f"--catch-up is all, last or none, and not {catch_up!r}")
    if not paths and text is None:
        raise Misconfigured("a schedule needs files, folders or --text to submit")
    missing = [path for path in paths or () if not path.exists()]
    if missing:
        raise Misconfigured(f"there is no {missing[0]}: give files, or folders of files")
    with open_stack(data) as (settings, database), database.work() as connection:
        registry_of(settings).get(prompt)
        wanted = Wanted(
            prompt=prompt,
            document=text,
            paths=tuple(str(path.absolute()) for path in paths or ()),
            feature=feature,
            user=user,
        )
        first = make(
            connection,
            name=name,
            cron=cron,
            time_zone=time_zone,
            submit=wanted.model_dump(mode="json"),
            catch_up=cast("CatchUp", catch_up),
            tenant=tenant,
        )
    if as_json:
        print_json({"name": name, "next_at": first})
    else:
        typer.echo(f"schedule {name} runs first at {_minute(first)}")


@schedules.command()
def pause(name: Name, as_json: AsJson = False, data: Data = None) -> None:
    """Run no slot until it is resumed."""
    _set_paused(name, data, paused=True, as_json=as_json)


@schedules.command()
def resume(name: Name, as_json: AsJson = False, data: Data = None) -> None:
    """Run again; slots that fell into the pause are not made up for."""
    _set_paused(name, data, paused=False, as_json=as_json)


@schedules.command()
def run(name: Name, as_json: AsJson = False, data: Data = None) -> None:
    """Run a slot now, beside those that the clock brings. Exit code 1 says that it could not submit all."""
    from db.schedules import run_now
    from tasks.upkeep.schedules import submit_slot

    with open_stack(data) as (_, database), database.work() as connection:
        ran = run_now(connection, name, submit_slot)
    if as_json:
        print_json(vars(ran))
    else:
        typer.echo(f"schedule {name}: {ran.jobs} jobs submitted")
        if ran.failure is not None:
            typer.echo(f"docmill: {ran.failure}", err=True)
    raise typer.Exit(1 if ran.failure else 0)


@schedules.command()
def remove(name: Name, as_json: AsJson = False, data: Data = None) -> None:
    """Take a schedule away; its jobs stay."""
    from db.schedules import remove as take_away

    with open_stack(data) as (_, database), database.work() as connection:
        take_away(connection, name)
    if as_json:
        print_json({"name": name, "removed": True})
    else:
        typer.echo(f"schedule {name} is gone")


def _set_paused(name: str, data: Path | None, *, paused: bool, as_json: bool) -> None:
    from db.schedules import pause as set_paused

    with open_stack(data) as (_, database), database.work() as connection:
        set_paused(connection, name, paused=paused)
    if as_json:
        print_json({"name": name, "paused": paused})
    else:
        typer.echo(f"schedule {name} is {'paused' if paused else 'running'}")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
