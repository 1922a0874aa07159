"""``docmill models`` and ``docmill cache``: what the fleet has learned, and what it remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, deadline_of, open_stack, print_json, print_table, usd
from docmill.errors import Misconfigured, ServiceAway
from docmill.redaction import redacted

if TYPE_CHECKING:
    from db.model_state import ModelState
    from docmill.llm.cache import TwoLayerCache
    from docmill.settings import Settings

__all__ = ["cache", "models"]

BY_HAND = "held by an operator"

models = typer.Typer(help="The models, and which of them are held.", invoke_without_command=True)
cache = typer.Typer(help="Answers that are remembered.", invoke_without_command=True)


@models.callback()
def list_models(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """Every model by its name in ladders; a held one is asked by nobody until the hold ends."""
    from db.model_state import state_of
    from workers.clients import open_limiter

    if context.invoked_subcommand is not None:
        return
    with (
        open_stack(data) as (settings, database),
        database.work() as connection,
        open_limiter(settings) as limiter,
    ):
        known = [settings.models.get(name) for name in settings.models.names()]
        found = [(model, _held(state_of(connection, model), limiter.held_s(model.limit_key))) for model in known]
    if as_json:
        for model, state in found:
            print_json(
                {
                    "name": model.name,
                    "model": model.model,
                    "account": model.account,
                    "base_url": redacted(model.base_url),
                    "held_s": round(state.hold_s),
                    "cause": state.hold_cause,
                    "learned": dict(state.learned),
                }
            )
        return
    rows = [
        (
            model.name,
            model.model,
            model.account,
            redacted(model.base_url),
            _is(state),
        )
        for model, state in found
    ]
    print_table("Models", ("name", "model", "account", "where", "is"), rows)


def _held(state: ModelState, limited_s: float) -> ModelState:
    """Whichever holds it for longer: what the fleet has met of its account, or the provider's limits."""
    return replace(state, hold_s=limited_s, hold_cause="rate_limited") if limited_s > state.hold_s else state


def _is(state: ModelState) -> str:
    if state.hold_s:
        return f"held for {state.hold_s:.0f} s ({state.hold_cause})"
    return "free" if state.hold_cause is None else f"tried by one job ({state.hold_cause})"


@models.command()
def release(
    name: Annotated[str, typer.Argument(help="As ladders name it.")], as_json: AsJson = False, data: Data = None
) -> None:
    """End a hold, once a key is valid again or an account has credit."""
    from db.model_state import release as free
    from workers.clients import open_limiter

    with open_stack(data) as (settings, database):
        model = settings.models.get(name)
        with open_limiter(settings) as limiter:
            limiter.release(model.limit_key)
        database.run(free, model, also=[model.limit_key])
    if as_json:
        print_json({"name": name, "released": True})
    else:
        typer.echo(f"model {name} is free")


@models.command()
def hold(
    name: Annotated[str, typer.Argument(help="As ladders name it.")],
    until: Annotated[
        str | None, typer.Option("--for", help="A span as in 15m, at most an hour; then one job tries.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Let nobody ask a model, of whatever tenant: for an hour, unless told otherwise. `release` ends it."""
    from db.model_state import hold as keep
    from docmill.remedies import LONGEST_HOLD_S

    ends_at = deadline_of(until, option="--for")
    for_s = LONGEST_HOLD_S if ends_at is None else (ends_at - datetime.now(UTC)).total_seconds()
    if not 0 < for_s <= LONGEST_HOLD_S:
        raise Misconfigured(f"--for is a span of at most {LONGEST_HOLD_S / 60:.0f} minutes: hold it again then")
    with open_stack(data) as (settings, database):
        database.run(keep, settings.models.get(name), for_s=for_s, cause=BY_HAND)
    if as_json:
        print_json({"name": name, "held_s": round(for_s)})
    else:
        typer.echo(f"model {name} is held for {for_s:.0f} s")


@models.command()
def forget(
    name: Annotated[str, typer.Argument(help="As ladders name it.")], as_json: AsJson = False, data: Data = None
) -> None:
    """Forget what the model has rejected, as pictures or a parameter: the next call tries it again.

    How its tokens compare with our count is kept.
    """
    from db.model_state import learn
    from docmill.llm.tokens import ratios_in

    with open_stack(data) as (settings, database):
        database.run(learn, settings.models.get(name), ratios_in)
    if as_json:
        print_json({"name": name, "forgotten": True})
    else:
        typer.echo(f"what model {name} has rejected is forgotten")


@cache.callback()
def show_cache(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """How many answers the shared layer remembers, and what each layer has saved so far."""
    from db.reports import saved_by_layer

    if context.invoked_subcommand is not None:
        return
    with open_stack(data) as (settings, database), database.work() as connection:
        with _remembered(settings) as remembered:
            answers, size = remembered.kept()
        layers = saved_by_layer(connection)
    if as_json:
        shown = {layer: {"answers": count, "saved_usd": amount} for layer, (count, amount) in layers.items()}
        print_json({"answers": answers, "bytes": size, "layers": shown})
        return
    typer.echo(f"{answers} answers in {size} bytes")
    rows = [(layer, count, usd(amount)) for layer, (count, amount) in layers.items()]
    print_table("Calls that were not made", ("layer", "calls", "saved USD"), rows)


@cache.command()
def clear(as_json: AsJson = False, data: Data = None) -> None:
    """Forget every answer, in both layers, in every process within seconds."""
    with open_stack(data) as (settings, _), _remembered(settings) as remembered:
        answers = remembered.clear()
    if as_json:
        print_json({"forgotten": answers})
    else:
        typer.echo(f"{answers} answers forgotten")


@contextmanager
def _remembered(settings: Settings) -> Iterator[TwoLayerCache]:
    """The cache of a running stack. Raises ServiceAway."""
    import redis

    from workers.clients import open_cache

    try:
        with open_cache(settings) as remembered:
            yield remembered
    except redis.RedisError as error:
        raise ServiceAway(f"the cache server does not answer ({type(error).__name__}): is it running?") from error
