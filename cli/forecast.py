"""``docmill forecast``: what a load will cost, from the ledger or from numbers given, and how the last one did."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.console import AsJson, Data, console, open_stack, print_json, print_table
from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from db.forecasts import Measured
    from docmill.money import Forecast, Load

__all__ = ["forecast"]

GIVEN = ("requests_per_day", "input_tokens", "output_tokens", "input_price", "output_price")


def forecast(
    requests_per_day: Annotated[float | None, typer.Option(help="Without it, the ledger is measured.")] = None,
    input_tokens: Annotated[float | None, typer.Option(help="Of one request.")] = None,
    output_tokens: Annotated[float | None, typer.Option(help="Of one request.")] = None,
    input_price: Annotated[str | None, typer.Option(help="USD a million tokens.")] = None,
    output_price: Annotated[str | None, typer.Option(help="USD a million tokens.")] = None,
    cache_hit_rate: Annotated[float | None, typer.Option(help="Share of the requests, from 0 to 1.")] = None,
    retry_rate: Annotated[float | None, typer.Option(help="Further calls for each that is not cached.")] = None,
    escalation_rate: Annotated[float | None, typer.Option(help="Share that goes to a stronger model too.")] = None,
    scale: Annotated[float, typer.Option(help="Times as many requests: 10 for ten times.")] = 1.0,
    days: Annotated[int, typer.Option(min=1, help="Days of the ledger that are looked at.")] = 90,
    seed: int = 0,
    score: Annotated[bool, typer.Option("--score", help="Hold the last forecast against what was spent.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """What a day and a month of a load will cost at most, half of the times and 95 times in a hundred.

    Rates that are given count instead of those measured.
    """
    given = {
        "requests_per_day": requests_per_day,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_price": input_price,
        "output_price": output_price,
        "cache_hit_rate": cache_hit_rate,
        "retry_rate": retry_rate,
        "escalation_rate": escalation_rate,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if score:
        _score(data, as_json=as_json)
        return
    missing = [name for name in GIVEN if name not in given]
    if requests_per_day is not None and missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise Misconfigured(f"a forecast from numbers needs {options} as well; one from the ledger needs none")
    if requests_per_day is None:
        _from_ledger(data, given, scale=scale, days=days, seed=seed, as_json=as_json)
    else:
        _print(*_forecast({**given, "scale": scale}, seed), as_json=as_json)


def _from_ledger(
    data: Path | None, given: dict[str, Any], *, scale: float, days: int, seed: int, as_json: bool
) -> None:
    from db import forecasts
    from tasks.loads import load_of

    with open_stack(data) as (settings, database), database.work() as connection:
        today = datetime.now(ZoneInfo(settings.timezone)).date()
        found = forecasts.measured(connection, timezone=settings.timezone, today=today, days=days)
        if found is None or not found.tokens:
            raise Misconfigured(
                "the ledger has no answered call yet: give --requests-per-day and the other numbers"
            )
        values = {**load_of(settings, found), **given, "scale": scale}
        told, load = _forecast(values, seed)
        kept = forecasts.keep(connection, told, {**values, "input_tokens": None, "output_tokens": None})
    _print(told, load, as_json=as_json, measured=found, kept=kept)


def _forecast(values: dict[str, Any], seed: int) -> tuple[Forecast, Load]:
    from docmill import money

    load = money.Load(**values)
    try:
        return money.forecast(load, seed=seed), load
    except ValueError as error:
        raise Misconfigured(f"this load cannot be: {error}") from error


def _print(
    found: Forecast, load: Load, *, as_json: bool, measured: Measured | None = None, kept: int | None = None
) -> None:
    spans = {"day": found.day, "month": found.month}
    if as_json:
        told: dict[str, Any] = {name: {"p50": span.p50, "p95": span.p95} for name, span in spans.items()}
        told |= {"formula": found.formula, "kept": kept}
        if measured is not None:
            told["measured"] = asdict(replace(measured, tokens=())) | {"sampled_calls": len(measured.tokens)}
            del told["measured"]["tokens"]
        print_json(told)
        return
    title = "Forecast" if load.scale == 1 else f"Forecast, {load.scale:g} times as much"
    print_table(title, ("a", "P50 USD", "P95 USD"), [(name, span.p50, span.p95) for name, span in spans.items()])
    console.print(found.formula, highlight=False)
    if measured is not None:
        console.print(f"Measured on {len(measured.requests_per_day)} days of the ledger.", highlight=False)


def _score(data: Path | None, *, as_json: bool) -> None:
    from db import forecasts

    with open_stack(data) as (_, database), database.work() as connection:
        found = forecasts.score(connection)
    if found is None:
        raise Misconfigured("no forecast was made from the ledger yet: `docmill forecast` makes one")
    within = {"within_p50": found.spent <= found.p50, "within_p95": found.spent <= found.p95}
    if as_json:
        amounts = {name: f"{getattr(found, name):.10f}" for name in ("spent", "p50", "p95")}
        print_json({**asdict(found), **{f"{name}_usd": usd for name, usd in amounts.items()}, **within})
        return
    rows = [
        ("made at", found.made_at.isoformat(timespec="seconds")),
        ("days since", round(found.days, 2)),
        ("spent USD", f"{found.spent:.6f}"),
        ("P50 USD for these days", f"{found.p50:.6f}"),
        ("P95 USD for these days", f"{found.p95:.6f}"),
        ("answers without a known price", found.unpriced),
    ]
    print_table("The last forecast", ("what", "value"), rows)
