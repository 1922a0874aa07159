"""``docmill up``: everything, in one foreground process."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, console, print_json, print_table
from docmill.redaction import redacted

if TYPE_CHECKING:
    from types import FrameType

    from workers.stack.addresses import Addresses

__all__ = ["up"]


def up(
    data: Annotated[Path | None, typer.Option(help="The folder that holds everything it keeps.")] = None,
    ready_file: Annotated[Path | None, typer.Option(help="Written once all is healthy: JSON.")] = None,
    io_workers: Annotated[
        int, typer.Option(help="Workers that call models, and take short documents all the way.", min=1)
    ] = 2,
    cpu_workers: Annotated[int, typer.Option(help="Workers that read and parse what is not short.", min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Start servers, workers and, where no provider is set, the simulator. Ctrl-C stops all in order."""
    from docmill.settings import load_settings
    from workers.stack.addresses import default_data
    from workers.stack.up import Stack

    settings = load_settings()
    folder = data or settings.data or default_data()
    signal.signal(signal.SIGTERM, _interrupt)  # while it starts; later it watches for the signal itself
    try:
        with Stack(settings, folder, io_workers=io_workers, cpu_workers=cpu_workers, tell=_tell) as stack:
            if as_json:
                print_json(_told(asdict(stack.addresses)))
            else:
                _show(stack.addresses, folder)
            if ready_file is not None:
                stack.addresses.write(ready_file)
            stack.watch()
            typer.echo("stopping: what has begun is let finish (Ctrl-C again does not wait)", err=True)
    except KeyboardInterrupt:
        typer.echo("stopped", err=True)
        raise typer.Exit(130) from None


def _tell(event: str) -> None:
    typer.echo(event, err=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _told(addresses: Mapping[str, Any]) -> dict[str, Any]:
    """Without secrets; the ready file has the addresses as programs need them."""
    return {name: redacted(value) if isinstance(value, str) else value for name, value in addresses.items()}


def _show(addresses: Addresses, folder: Path) -> None:
    print_table(
        "docmill is up",
        ("what", "where"),
        [
            ("data", folder),
            ("database", redacted(addresses.database_url)),
            ("broker", redacted(addresses.broker_url)),
            ("cache", redacted(addresses.cache_url)),
            ("models", redacted(addresses.llm_url or "none")),
            ("API and costs", f"{addresses.api}  (documentation at {addresses.api}/docs)"),
            ("Flower", f"{addresses.flower}  (user docmill, password in {folder / 'flower-password'})"),
            *((f"process {name}", pid) for name, pid in addresses.pids.items()),
        ],
    )
    if addresses.simulator:
        console.print(
            "The models are simulated: answers by rules, not by a language model. "
            "For a real one set DOCMILL_LLM_URL and DOCMILL_LLM_API_KEY."
        )
