"""``docmill budgets``: what may be spent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, cast

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table, usd
from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from db.budget_admin import Budget

__all__ = ["budgets"]

budgets = typer.Typer(
    help="What may be spent a day, a month or in total, by all, a tenant, a feature, a user or a prompt.",
    invoke_without_command=True,
)

BudgetId = Annotated[int, typer.Argument(metavar="ID", help="As `docmill budgets` shows it.")]
Cap = Annotated[str, typer.Argument(metavar="USD", help="As in 25 or 0.50.")]
Word = TypeVar("Word", bound=str)
COLUMNS = ("budget", "for", "span", "cap USD", "spent", "reserved", "left", "policy", "since", "waiting")


@budgets.callback()
def show(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """Every budget with what is spent, reserved for open calls, and left; and how many jobs wait for it."""
    if context.invoked_subcommand is None:
        list_budgets(as_json=as_json, data=data)


@budgets.command("list")
def list_budgets(as_json: AsJson = False, data: Data = None) -> None:
    """Every budget with what is spent, reserved for open calls, and left; and how many jobs wait for it."""
    from db.budget_admin import listed

    with open_stack(data) as (_, database), database.work() as connection:
        found = listed(connection)
    _print(found, as_json)


@budgets.command("set")
def set_budget(
    cap: Cap,
    tenant: Annotated[str | None, typer.Option(help="Only what this tenant spends.")] = None,
    feature: Annotated[str | None, typer.Option(help="Only what this feature spends.")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user spends.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Only what this prompt spends: 0 stops it.")] = None,
    span: Annotated[str, typer.Option(help="day, month or total. A total counts from now on.")] = "day",
    policy: Annotated[
        str,
        typer.Option(help="Once it is spent: hold (until its next window), fail, or cheaper (a cheaper model)."),
    ] = "hold",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Set a budget, or change the one for the same. No call that might pass its cap is started."""
    from db.budget_admin import Wanted, check_prompt, put
    from workers.registry import registry_of

    scopes = {"tenant": tenant, "feature": feature, "user": user, "prompt": prompt}
    named = {scope: subject for scope, subject in scopes.items() if subject is not None}
    if len(named) > 1:
        raise Misconfigured(f"a budget is for one of --{', --'.join(named)}: set one budget for each")
    scope, subject = next(iter(named.items()), ("all", ""))
    wanted = Wanted(
        scope=cast(Literal["all", "tenant", "feature", "user", "prompt"], scope),
        subject=subject,
        span=_one_of("span", span, ("day", "month", "total")),
        policy=_one_of("policy", policy, ("hold", "fail", "cheaper")),
        cap_usd=_amount(cap),
    )
    with open_stack(data) as (settings, database), database.work() as connection:
        check_prompt(connection, wanted, registry_of(settings).names() if prompt else ())
        found = put(connection, wanted, timezone=settings.timezone)
    _print([found], as_json)


@budgets.command("raise")
def raise_budget(budget_id: BudgetId, cap: Cap, as_json: AsJson = False, data: Data = None) -> None:
    """Raise a cap; jobs that wait for it go on at once, as many as then fit."""
    from db.budget_admin import raise_cap

    with open_stack(data) as (_, database), database.work() as connection:
        found = raise_cap(connection, budget_id, _amount(cap))
    _print([found], as_json)


@budgets.command()
def remove(budget_id: BudgetId, as_json: AsJson = False, data: Data = None) -> None:
    """End a budget; jobs that wait for it go on."""
    from db.budget_admin import remove as end

    with open_stack(data) as (_, database), database.work() as connection:
        end(connection, budget_id)
    if as_json:
        print_json({"id": budget_id, "removed": True})
    else:
        typer.echo(f"budget {budget_id} is no more")


def _amount(given: str) -> Decimal:
    from docmill import money

    try:
        return money.amount(given)
    except ValueError as error:
        raise Misconfigured(f"a cap is an amount in USD, and {given!r} is {error}") from error


def _one_of(option: str, given: str, words: tuple[Word, ...]) -> Word:
    for word in words:
        if word == given:
            return word
    raise Misconfigured(f"--{option} is one of {', '.join(words)}, and not {given!r}")


def _print(found: Sequence[Budget], as_json: bool) -> None:
    if as_json:
        for budget in found:
            print_json(budget.as_json())
        return
    rows = [
        (
            budget.id,
            f"{budget.scope} {budget.subject}".strip(),
            budget.span,
            usd(budget.cap_usd),
            usd(budget.spent_usd),
            usd(budget.reserved_usd),
            usd(budget.cap_usd - budget.spent_usd - budget.reserved_usd),
            budget.policy,
            budget.since.isoformat(timespec="minutes"),
            _waiting(budget),
        )
        for budget in found
    ]
    print_table("Budgets", COLUMNS, rows)


def _waiting(budget: Budget) -> str:
    from db.budget_admin import MOST_WAITING

    if not budget.waiting:
        return ""
    more = "+" if budget.waiting >= MOST_WAITING else ""
    jobs = f"{budget.waiting}{more} job{'s' if budget.waiting > 1 else ''}"
    if budget.least_need_usd is not None and budget.least_need_usd > budget.cap_usd:
        return f"{jobs}, each of which may cost more than the whole cap: raise it"
    return jobs
