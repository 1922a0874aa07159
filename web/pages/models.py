"""Models: which are held, who waits for what, how they answer; and budgets. Models are held and released here."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from db import budget_admin, model_state, waiting
from db.budget_admin import Budget
from db.model_state import hold_key
from docmill.errors import Misconfigured, ServiceAway
from docmill.settings import Model
from tasks.services import Services
from web.access import Asking, Caller, Database
from web.pages.rendering import budget_bar, render
from web.problems import Problem
from web.schemas import LARGEST_ID

__all__ = ["is_seen", "router"]

router = APIRouter(include_in_schema=False)

HELD_S = 3600.0
"""So long a person's hold lasts; then one job tries."""
Name = Annotated[str, Path(max_length=200)]
Cap = Annotated[Decimal, Form(ge=0, le=1_000_000_000, max_digits=20, decimal_places=10, allow_inf_nan=False)]


@router.get("/models", response_class=HTMLResponse)
def show_models(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """Every model by its name in ladders, with its hold, who waits for it, and its last hour."""
    asking.check("read")
    services: Services = request.app.state.services
    known, broken = _known(services)
    with database.work() as connection:
        states = {model.name: model_state.state_of(connection, model) for model in known}
        held = waiting.for_models(connection, asking.tenant)
        lately = {(each.account, each.model): each for each in waiting.calls_lately(connection, asking.tenant)}
    content = {
        "models": [
            {
                "model": model,
                "state": states[model.name],
                "limited_s": services.limiter.held_s(model.limit_key),
                "waiting": [each for each in held if each.held_for in (model.limit_key, hold_key(model))],
                "lately": lately.get((model.account, model.model)),
            }
            for model in known
        ],
        "broken": broken,
        "others": [each for each in held if not any(each.held_for in (m.limit_key, hold_key(m)) for m in known)],
    }
    return render(request, "models.html", content)


def _known(services: Services) -> tuple[list[Model], list[str]]:
    """The models that can be asked, and why the others cannot."""
    known, broken = [], []
    for name in services.settings.models.names():
        try:
            known.append(services.settings.models.get(name))
        except Misconfigured as error:
            broken.append(str(error))
    return known, broken


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


@router.get("/budgets", response_class=HTMLResponse)
def show_budgets(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """Every budget in three parts (spent, reserved, left), with who waits for it."""
    asking.check("read")
    found = database.run(budget_admin.listed)
    bars = [budget_bar(budget) for budget in found if is_seen(budget, asking)]
    return render(request, "budgets.html", {"bars": bars})


@router.post("/budgets/{budget_id}/raise")
def raise_budget(
    budget_id: Annotated[int, Path(ge=1, le=LARGEST_ID)], cap: Cap, database: Database, asking: Asking
) -> RedirectResponse:
    """Raises a cap, and sets free as many waiting jobs as then fit. Raises Problem for somebody else's budget."""
    asking.check("money")
    if not any(each.id == budget_id and is_seen(each, asking) for each in database.run(budget_admin.listed)):
        raise Problem(404, f"there is no budget {budget_id}")
    database.run(budget_admin.raise_cap, budget_id, cap)
    return RedirectResponse("/budgets", status_code=303)


def is_seen(budget: Budget, asking: Caller) -> bool:
    """Whether a budget is the caller's: those of all tenants together are for whoever looks after all."""
    return asking.may("admin") or (budget.scope == "tenant" and budget.subject == asking.tenant)
