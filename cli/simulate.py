"""``docmill simulate``: a provider to practise on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.console import AsJson, print_json
from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from docmill.simulator import Settings

__all__ = ["simulate"]


def simulate(
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
    host: str = "127.0.0.1",
    latency_ms: Annotated[float, typer.Option(help="How long an answer takes, in the median.")] = 0.0,
    latency_spread: Annotated[float, typer.Option(help="Sigma of the lognormal around it.")] = 0.0,
    context_window: Annotated[int, typer.Option(help="Tokens, input and output together.")] = 128_000,
    api_key: Annotated[str | None, typer.Option(help="The only key that is taken.")] = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    window: Annotated[str, typer.Option(help="second or minute.")] = "second",
    fault: Annotated[list[str], typer.Option(help="KIND=SHARE, as in rate_limited=0.1.")] = [],
    seed: int = 0,
    answers: Annotated[
        Path | None,
        typer.Option(
            help='JSON lines {"path": "/rows/-", "anchor": "…", "value": …}: what is answered, and where.'
        ),
    ] = None,
    lazy: Annotated[
        int | None, typer.Option(min=0, help="Leaves items beyond so many out of such an answer, without a word.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written once it listens: JSON with url and pid.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve answers made by rules, or out of a file; no language model is behind them."""
    import asyncio

    from docmill.simulator import Settings
    from docmill.simulator.answers import read_answers

    settings = Settings(
        latency_ms=latency_ms,
        latency_spread=latency_spread,
        context_window=context_window,
        api_key=api_key,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        window=_window(window),
        faults=dict(map(_fault, fault)),
        seed=seed,
        answers=None if answers is None else read_answers(answers),
        lazy=lazy,
    )
    asyncio.run(_serve(settings, (host, port), ready_file, as_json=as_json))


async def _serve(settings: Settings, address: tuple[str, int], ready_file: Path | None, *, as_json: bool) -> None:
    import asyncio

    from docmill.simulator import Simulator

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Simulator(settings, host=address[0], port=address[1]) as simulator:
        if as_json:
            print_json({"url": simulator.url, "pid": os.getpid()})
        else:
            source = "rules" if settings.answers is None else "answers out of a file"
            typer.echo(f"simulator at {simulator.url}: {source}, not a language model. Ctrl-C ends it.")
        if ready_file is not None:
            _announce(ready_file, simulator.url)
        await stop.wait()


def _announce(ready_file: Path, url: str) -> None:
    """Written beside and renamed, so that nobody reads half of it."""
    draft = ready_file.with_name(f"{ready_file.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    draft.rename(ready_file)


def _window(name: str) -> Literal["second", "minute"]:
    if name == "second":
        return "second"
    if name == "minute":
        return "minute"
    raise Misconfigured(f"--window is second or minute, and not {name!r}")


def _fault(option: str) -> tuple[str, float]:
    kind, _, share = option.partition("=")
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise Misconfigured(
            f"--fault is KIND=SHARE with a share from 0 to 1, as in rate_limited=0.1, and not {option!r}"
        )
    return kind, value
