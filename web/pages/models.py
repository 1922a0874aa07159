"""Models: which are held, who waits for what, how they answer; and budgets. Models are held and released here."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, get_args

from fastapi import APIRouter, Depends, Form, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from db import budget_admin, budgets, model_state, waiting
from db.budget_admin import Wanted
from db.database import Database as Rows
from docmill.errors import ServiceAway
from tasks.services import Services
from web.access import Asking, Caller, Database
from web.models_seen import look_at
from web.pages.rendering import budget_bar, render
from web.problems import Problem
from web.schemas import LARGEST_ID, Storable

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

HELD_S = 3600.0
"""So long a person's hold lasts; then one job tries."""
Name = Annotated[str, Path(max_length=200)]
Cap = Annotated[Decimal, Form(ge=0, le=1_000_000_000, max_digits=20, decimal_places=10, allow_inf_nan=False)]


@router.get("/models", response_class=HTMLResponse)
def show_models(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """Every model by its name in ladders, with its hold, who waits for it, and its last hour."""
    asking.check("read")
    found = look_at(request.app.state.services, database, asking.tenant)
    content = {"models": found.models, "broken": found.broken, "others": found.others, "jobs": waiting.JOBS}
    return render(request, "models.html", content)


@router.post("/models/{name}/{action}")
def act_on_model(
    name: Name,
    action: Annotated[str, Path(pattern="^(hold|release)$")],
    request: Request,
    database: Database,
    asking: Asking,
) -> RedirectResponse:
    """Holds a model for an hour, or ends its hold: for all tenants, so that no tenant's key may."""
    asking.check("admin")
    services: Services = request.app.state.services
    model = services.settings.models.get(name)
    if action == "hold":
        database.run(model_state.hold, model, for_s=HELD_S, cause="held by an operator")
    else:
        try:
            services.limiter.release(model.limit_key)
        except ServiceAway as error:
            raise Problem(503, str(error), {"retry-after": "5"}) from error
        database.run(model_state.release, model, also=[model.limit_key])
    return RedirectResponse("/models", status_code=303)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A budget that is to be set, as an address or a form has it."""

    scope: budgets.Scope = "tenant"
    subject: str = ""
    span: budgets.Span = "month"
    policy: budgets.Policy = "hold"
    cap: Decimal | None = None


def draft_of(
    scope: budgets.Scope | None = None,
    subject: Storable = "",
    span: budgets.Span = "month",
    policy: budgets.Policy = "hold",
    cap: Annotated[Decimal | None, Query(ge=0, le=1_000_000_000, allow_inf_nan=False)] = None,
) -> Draft | None:
    """Returns what a link wants to have set; None where it says nothing."""
    return None if scope is None else Draft(scope=scope, subject=subject, span=span, policy=policy, cap=cap)


@router.get("/budgets", response_class=HTMLResponse)
def show_budgets(
    request: Request, database: Database, asking: Asking, draft: Annotated[Draft | None, Depends(draft_of)]
) -> HTMLResponse:
    """Every budget in three parts (spent, reserved, left), with who waits for it; and a form for one more."""
    asking.check("read")
    found = database.run(budget_admin.listed)
    bars = [budget_bar(budget) for budget in found if asking.sees(budget)]
    scopes = get_args(budgets.Scope) if asking.may("admin") else ("tenant",)
    content = {
        "bars": bars,
        "draft": draft or Draft(subject=asking.tenant),
        "scopes": scopes,
        "most": budget_admin.MOST_WAITING,
    }
    return render(request, "budgets.html", content)


@router.post("/budgets")
def set_budget(
    request: Request,
    database: Database,
    asking: Asking,
    scope: Annotated[budgets.Scope, Form()],
    span: Annotated[budgets.Span, Form()],
    policy: Annotated[budgets.Policy, Form()],
    cap: Cap,
    subject: Annotated[Storable, Form()] = "",
) -> RedirectResponse:
    """Sets a budget: one's own tenant's, or, for who looks after all, any. A cap of 0 stops whom it is for."""
    wanted = Wanted(scope=scope, subject=subject, span=span, policy=policy, cap_usd=cap)
    asking.check("money" if (wanted.scope, wanted.subject) == ("tenant", asking.tenant) else "admin")
    timezone: str = request.app.state.settings.timezone
    with database.work() as connection:
        budget_admin.check_prompt(connection, wanted, request.app.state.registry.names())
        budget_admin.put(connection, wanted, timezone=timezone)
    return RedirectResponse("/budgets", status_code=303)


@router.post("/budgets/{budget_id}/remove")
def remove_budget(
    budget_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], database: Database, asking: Asking
) -> RedirectResponse:
    """Ends a budget, and sets free who waits for it. Raises Problem for somebody else's."""
    asking.check("money")
    _check_seen(database, asking, budget_id)
    database.run(budget_admin.remove, budget_id)
    return RedirectResponse("/budgets", status_code=303)


@router.post("/budgets/{budget_id}/raise")
def raise_budget(
    budget_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], cap: Cap, database: Database, asking: Asking
) -> RedirectResponse:
    """Raises a cap, and sets free as many waiting jobs as then fit. Raises Problem for somebody else's budget."""
    asking.check("money")
    _check_seen(database, asking, budget_id)
    database.run(budget_admin.raise_cap, budget_id, cap)
    return RedirectResponse("/budgets", status_code=303)


def _check_seen(database: Rows, asking: Caller, budget_id: int) -> None:
    if not any(each.id == budget_id and asking.sees(each) for each in database.run(budget_admin.listed)):
        raise Problem(404, f"there is no budget {budget_id}")
