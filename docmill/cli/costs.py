"""``docmill costs``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from docmill.cli.console import AsJson, Data, open_stack, print_json, print_table, usd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.reports import CostRow

__all__ = ["costs", "print_costs"]


def costs(
    by: Annotated[
        str, typer.Option(help="Some of feature, user, day, model, prompt, tenant, parted by commas.")
    ] = "feature",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """What the calls to models cost."""
    from db.reports import costs as costs_by

    names = [name.strip() for name in by.split(",") if name.strip()]
    with open_stack(data) as (settings, engine), engine.connect() as connection:
        rows = costs_by(connection, names, timezone=settings.timezone)
    if as_json:
        for row in rows:
            print_json(row.as_json())
        return
    print_costs(f"Cost by {', '.join(names)}", names, rows)


def print_costs(title: str, names: Sequence[str], rows: Sequence[CostRow]) -> None:
    """A table; what is unknown stands in a column of its own."""
    print_table(
        title,
        (*names, "calls", "failed", "cached", "tokens in", "tokens out", "USD", "unpriced", "possibly billed"),
        [
            (
                *(row.group[name] for name in names),
                row.calls,
                row.failed,
                row.cached,
                row.input_tokens,
                row.output_tokens,
                usd(row.cost_usd),
                row.unpriced,
                row.possibly_billed,
            )
            for row in rows
        ],
    )
