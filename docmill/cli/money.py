"""``docmill forecast`` and ``estimate``: what it will cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from docmill.cli.console import AsJson, console, print_json, print_table, usd
from docmill.cli.submit import files_in
from docmill.errors import Misconfigured, Unreadable

if TYPE_CHECKING:
    from docmill.llm.tokens import Counter
    from docmill.reading import Reader
    from prompts import PromptVersion

__all__ = ["estimate", "forecast"]


def forecast(
    requests_per_day: Annotated[float, typer.Option()],
    input_tokens: Annotated[float, typer.Option(help="Of one request.")],
    output_tokens: Annotated[float, typer.Option(help="Of one request.")],
    input_price: Annotated[str, typer.Option(help="USD a million tokens.")],
    output_price: Annotated[str, typer.Option(help="USD a million tokens.")],
    cache_hit_rate: float = 0.0,
    retry_rate: float = 0.0,
    escalation_rate: float = 0.0,
    scale: float = 1.0,
    as_json: AsJson = False,
) -> None:
    """What a day and a month of a load will cost at most, half of the times and 95 times in a hundred."""
    from docmill import money

    try:
        found = money.forecast(
            money.Load(
                requests_per_day=requests_per_day,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                input_price=input_price,
                output_price=output_price,
                cache_hit_rate=cache_hit_rate,
                retry_rate=retry_rate,
                escalation_rate=escalation_rate,
                scale=scale,
            )
        )
    except ValueError as error:
        raise Misconfigured(f"this load cannot be: {error}") from error
    spans = {"day": found.day, "month": found.month}
    if as_json:
        print_json(
            {
                **{name: {"p50": span.p50, "p95": span.p95} for name, span in spans.items()},
                "formula": found.formula,
            }
        )
        return
    print_table(
        "Forecast", ("a", "P50 USD", "P95 USD"), [(name, span.p50, span.p95) for name, span in spans.items()]
    )
    console.print(found.formula, highlight=False)


def estimate(
    paths: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    prompt: Annotated[str, typer.Option()],
    version: str | None = None,
    as_json: AsJson = False,
) -> None:
    """What a first call for each document would cost at most: its input counted, its whole output limit."""
    from docmill import money
    from docmill.llm.tokens import counter_for
    from docmill.reading import Reader
    from docmill.settings import load_settings
    from workers.services import registry_of

    settings = load_settings()
    wanted = registry_of(settings).get(prompt, version)
    name = wanted.config.ladder[0]
    model = settings.models.find(name)
    counter = counter_for(model.model)
    tokens, unreadable = 0, 0
    with Reader() as reader:
        files = list(files_in(paths))
        for file in files:
            counted = _input_tokens(reader, file, wanted, counter)
            unreadable += counted is None
            tokens += counted or 0
    readable = len(files) - unreadable
    output = readable * wanted.config.limits.max_output_tokens
    prices = settings.models.prices_of(model)
    most = money.worst_case(tokens, output, provider=model.provider, model=model.model, prices=prices)
    found = {
        "documents": readable,
        "unreadable": unreadable,
        "model": model.model,
        "input_tokens": tokens,
        "output_tokens_at_most": output,
        "cost_usd_at_most": None if most is None else f"{most:f}",
    }
    if as_json:
        print_json(found)
        return
    rows = [(key.replace("_", " "), value) for key, value in found.items() if key != "cost_usd_at_most"]
    print_table("Estimate", ("what", "value"), [*rows, ("USD at most", usd(most))])


def _input_tokens(reader: Reader, file: Path, prompt: PromptVersion, counter: Counter) -> int | None:
    """Tokens of the messages for a file; None for one that cannot be read."""
    from prompts import Excerpt

    try:
        reading = reader.read(file)
    except Unreadable:
        return None
    if reading.empty:
        return None
    params = {name: param.default or "" for name, param in prompt.config.params.items()}
    return counter.count_messages(prompt.render(Excerpt(passages=(reading.text,)), params))
