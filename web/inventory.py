"""What stands ready, over HTTP: prompts, budgets, schedules."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from db import budget_admin, budgets, schedules
from db.budget_admin import Budget
from docmill.errors import PromptError
from prompts import PromptVersion, Registry
from web.access import Asking, Database
from web.answer_schemas import listed_prompts
from web.problems import Problem, documented
from web.schemas import Storable

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documented(401, 422, 503))

BUDGET_EXAMPLE: dict[str, Any] = {
    "scope": "tenant", "subject": "default", "span": "month", "policy": "hold", "cap_usd": "25",
}  # fmt: skip


class PromptListed(BaseModel):
    """A prompt, as a submit takes it."""

    name: str
    version: str | None = Field(description="The highest that is no draft; null where there is none that loads")
    description: str | None
    ladder: list[str] = Field(description="Models, in the order in which they are asked")
    versions: list[str]
    trouble: str | None = Field(description="Why it is of no use")


class Prompts(BaseModel):
    """All prompts, by their names."""

    prompts: list[PromptListed]


class VersionShown(BaseModel):
    """A version of a prompt."""

    version: str
    draft: bool | None = Field(description="null where its files do not load")
    description: str | None
    ladder: list[str]
    params: dict[str, Any] = Field(description="Which a submit may, or must, give")
    answer: dict[str, Any] | None = Field(description="The JSON Schema of its value")
    content_hash: str | None
    trouble: str | None = Field(description="Why it is of no use")


class PromptShown(BaseModel):
    """A prompt with its versions, the oldest first."""

    name: str
    versions: list[VersionShown]


class BudgetWanted(BaseModel):
    """What may be spent, by whom, in which span."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [BUDGET_EXAMPLE]})

    scope: budgets.Scope
    subject: Storable = Field("", description="The tenant, feature, user or prompt; empty for all")
    span: budgets.Span = "month"
    policy: budgets.Policy = Field("hold", description="What becomes of jobs once it is spent")
    cap_usd: Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=20, decimal_places=10)]


class BudgetShown(BaseModel):
    """A budget with its latest window; amounts are decimals."""

    id: int
    scope: str
    subject: str
    span: str
    policy: str
    cap_usd: str
    spent_usd: str
    reserved_usd: str = Field(description="For calls that are open, or may have been billed")
    since: datetime
    waiting: int = Field(
        description=f"Jobs that are held for it; {budget_admin.MOST_WAITING} says so many or more"
    )
    least_need_usd: str | None = Field(description="What the smallest of these jobs' calls may cost")


class Budgets(BaseModel):
    """The budgets that the caller may see."""

    budgets: list[BudgetShown]


class SlotRan(BaseModel):
    """A slot that was run."""

    slot: datetime
    jobs: int
    failure: str | None


class ScheduleShown(BaseModel):
    """Documents that are submitted again and again."""

    name: str
    cron: str
    time_zone: str
    submit: dict[str, Any]
    paused: bool
    catch_up: str = Field(description="What about slots missed: all, last or none")
    next_at: datetime
    last: SlotRan | None


class Schedules(BaseModel):
    """The tenant's schedules, by their names."""

    schedules: list[ScheduleShown]


@router.get("/prompts", response_model=Prompts, summary="All prompts", tags=["prompts"])
def list_prompts(request: Request, asking: Asking) -> Prompts:
    asking.check("read")
    registry: Registry = request.app.state.registry
    return Prompts(prompts=[_listed(registry, name) for name in listed_prompts(registry)])


@router.get(
    "/prompts/{name}",
    response_model=PromptShown,
    summary="A prompt with its versions",
    tags=["prompts"],
    responses=documented(404),
)
def show_prompt(name: Annotated[str, Path(max_length=200)], request: Request, asking: Asking) -> PromptShown:
    asking.check("read")
    registry: Registry = request.app.state.registry
    if name not in listed_prompts(registry):
        raise Problem(404, f"there is no prompt {name[:100]!r}", code="prompt-unknown")
    return PromptShown(name=name, versions=[_version(registry, name, each) for each in registry.versions(name)])


@router.get("/budgets", response_model=Budgets, summary="What may be spent, and what is", tags=["budgets"])
def list_budgets(database: Database, asking: Asking) -> Budgets:
    asking.check("read")
    found = database.run(budget_admin.listed)
    return Budgets(budgets=[_budget(each) for each in found if asking.sees(each)])


@router.put(
    "/budgets",
    response_model=BudgetShown,
    summary="Set a budget",
    tags=["budgets"],
    responses=documented(408, 413),
)
def set_budget(wanted: BudgetWanted, request: Request, database: Database, asking: Asking) -> BudgetShown:
    """One for the same scope, subject and span is changed. A cap of 0 stops whom it is for."""
    asking.check("money" if (wanted.scope, wanted.subject) == ("tenant", asking.tenant) else "admin")
    timezone: str = request.app.state.settings.timezone
    budget = budget_admin.Wanted(**wanted.model_dump())
    with database.work() as connection:
        budget_admin.check_prompt(connection, budget, request.app.state.registry.names())
        return _budget(budget_admin.put(connection, budget, timezone=timezone))


@router.get(
    "/schedules", response_model=Schedules, summary="What is submitted again and again", tags=["schedules"]
)
def list_schedules(database: Database, asking: Asking) -> Schedules:
    asking.check("read")
    with database.work() as connection:
        found = schedules.listed(connection, tenant=asking.tenant)
    return Schedules(
        schedules=[
            ScheduleShown(
                **{**vars(each), "submit": dict(each.submit) if isinstance(each.submit, Mapping) else {}},
                last=None if last is None else SlotRan(slot=last.slot, jobs=last.jobs, failure=last.failure),
            )
            for each, last in found
        ]
    )


def _listed(registry: Registry, name: str) -> PromptListed:
    versions = registry.versions(name)
    try:
        prompt = registry.get(name)
    except PromptError as error:
        return PromptListed(
            name=name, version=None, description=None, ladder=[], versions=versions, trouble=str(error)
        )
    config = prompt.config
    return PromptListed(
        name=name, version=prompt.version, description=config.description, ladder=list(config.ladder),
        versions=versions, trouble=None,
    )  # fmt: skip


def _version(registry: Registry, name: str, version: str) -> VersionShown:
    try:
        return _loaded(registry.get(name, version))
    except PromptError as error:
        return VersionShown(
            version=version, draft=None, description=None, ladder=[], params={}, answer=None, content_hash=None,
            trouble=str(error),
        )  # fmt: skip


def _loaded(prompt: PromptVersion) -> VersionShown:
    config = prompt.config
    return VersionShown(
        version=prompt.version, draft=config.draft, description=config.description, ladder=list(config.ladder),
        params={name: each.model_dump() for name, each in config.params.items()}, answer=prompt.schema,
        content_hash=prompt.content_hash.hex(), trouble=None,
    )  # fmt: skip


def _budget(budget: Budget) -> BudgetShown:
    return BudgetShown(**budget.as_json())
