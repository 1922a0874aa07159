"""``docmill costs``."""

from __future__ import annotations

import csv
import sys
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table, usd
from cli.table import no_formula
from docmill.errors import Misconfigured
from docmill.visible import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.costs import CostRow

__all__ = ["costs", "print_costs"]


def costs(
    by: Annotated[
        str,
        typer.Option(help="Some of feature, user, day, model, prompt, version, remedy, tenant, parted by commas."),
    ] = "feature",
    since: Annotated[str | None, typer.Option(help="A day as in 2026-01-31, or a span of days as in 30d.")] = None,
    until: Annotated[str | None, typer.Option(help="The last day, as in 2026-02-28.")] = None,
    feature: Annotated[str | None, typer.Option(help="Only those of this feature.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Only those of this prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="Only those of this model, as the provider names it.")] = None,
    waste: Annotated[bool, typer.Option("--waste", help="Show what was paid for nothing, by its cause.")] = False,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with a line of names.")] = False,
    data: Data = None,
) -> None:
    """What the calls to models cost. Days are days in DOCMILL_TIMEZONE."""
    from db.costs import costs as costs_by

    if as_json and as_csv:
        raise Misconfigured("costs are printed as JSON or as CSV: leave --json or --csv out")
    names = [name.strip() for name in by.split(",") if name.strip()]
    with open_stack(data) as (settings, database), database.work() as connection:
        first, last = (
            _day(given, option, settings.timezone) for given, option in ((since, "since"), (until, "until"))
        )
        wanted = {"feature": feature, "user": user, "prompt": prompt, "model": model}
        only = {name: value for name, value in wanted.items() if value is not None}
        rows = costs_by(connection, names, timezone=settings.timezone, since=first, until=last, only=only)
    if as_json:
        for row in rows:
            print_json(row.as_json())
    elif as_csv:
        print_csv(names, rows)
    elif waste:
        print_waste(f"Wasted by {', '.join(names)}", names, rows)
    else:
        print_costs(f"Cost by {', '.join(names)}", names, rows)


def _day(given: str | None, option: str, timezone: str) -> date | None:
    """A day, or so many days before today. Raises Misconfigured."""
    if given is None:
        return None
    today = datetime.now(ZoneInfo(timezone)).date()
    try:
        if given.strip().lower().endswith("d"):
            return today - timedelta(days=int(given.strip()[:-1]))
        return date.fromisoformat(given.strip())
    except (ValueError, OverflowError) as error:
        raise Misconfigured(
            f"--{option} is a day as in 2026-01-31, or a span of days as in 30d, and not {given!r}"
        ) from error


COLUMNS = (
    "calls", "failed", "cached", "tokens in", "tokens out", "USD", "unpriced", "possibly billed", "accepted",
    "USD each", "saved USD", "wasted USD",
)  # fmt: skip


def print_costs(title: str, names: Sequence[str], rows: Sequence[CostRow]) -> None:
    """A table with its sum; what is unknown stands in columns of its own."""
    total = [("total", *[""] * (len(names) - 1), *_figures(_total(rows)))] if len(rows) > 1 and names else []
    shown = [(*(row.group[name] for name in names), *_figures(row)) for row in rows]
    print_table(title, (*names, *COLUMNS), shown, total=next(iter(total), None))


def _figures(row: CostRow) -> tuple[object, ...]:
    return (
        row.calls,
        row.failed,
        row.cached,
        row.input_tokens,
        row.output_tokens,
        usd(row.cost_usd if row.known else None),
        row.unpriced,
        row.possibly_billed,
        row.accepted,
        "" if row.usd_per_accepted is None else usd(row.usd_per_accepted),
        usd(row.saved_usd),
        usd(row.wasted_usd),
    )


def _total(rows: Sequence[CostRow]) -> CostRow:
    """All rows as one."""
    sums = {name: sum(getattr(row, name) for row in rows) for name in rows[0]._fields if name != "group"}
    return rows[0]._replace(group={}, **sums)


def print_waste(title: str, names: Sequence[str], rows: Sequence[CostRow]) -> None:
    """What was paid for nothing: answers that were rejected, of jobs that failed, or that came twice."""
    columns = (*names, "USD", "wasted USD", "rejected", "failed", "surplus", "possibly billed")
    shown = [(*(row.group[name] for name in names), *_wasted(row)) for row in rows]
    total = [("total", *[""] * (len(names) - 1), *_wasted(_total(rows)))] if len(rows) > 1 and names else []
    print_table(title, columns, shown, total=next(iter(total), None))


def _wasted(row: CostRow) -> tuple[object, ...]:
    return (
        usd(row.cost_usd if row.known else None),
        usd(row.wasted_usd),
        usd(row.rejected_usd),
        usd(row.failed_usd),
        usd(row.surplus_usd),
        row.possibly_billed,
    )


def print_csv(names: Sequence[str], rows: Sequence[CostRow]) -> None:
    """A line of names, then one a group; what is unknown is empty, and no text is a formula."""
    found = [row.as_json() for row in rows]
    columns = list(found[0]) if found else [*names, "calls", "cost_usd"]
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    writer.writeheader()
    for row in found:
        texts = {name: visible(no_formula(row[name])) for name in names if isinstance(row[name], str)}
        writer.writerow({**row, **texts})
