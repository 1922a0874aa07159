"""What stands under whoever operates docmill, over HTTP: models, the month ahead, keys."""

from __future__ import annotations

from datetime import date, datetime

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

import db.keys
from db.costs import plain_usd
from docmill import money
from docmill.money import Spread
from web.access import Asking, Database
from web.costs import ForecastShown, SpanShown
from web.models_seen import ModelSeen, look_at
from web.months import outlook
from web.problems import documented

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=documented(401, 422, 503))


class WaitingShown(BaseModel):
    """A feature's jobs that wait for the model."""

    feature: str
    jobs: int
    until: datetime = Field(description="When the first is looked at again")


class LatelyShown(BaseModel):
    """How it answered the tenant in the last hour."""

    calls: int
    failed: int
    limited: int = Field(description="Told to wait")
    p50_ms: float | None
    p95_ms: float | None


class ModelShown(BaseModel):
    """A model that can be asked, and how it stands."""

    name: str = Field(description="As ladders have it")
    provider: str
    model: str = Field(description="As its provider has it")
    account: str
    state: str = Field(
        description="free; held; probed, where a hold is over and one job tries; limited, where limits are used up"
    )
    held_s: float = Field(description="Seconds until it may be asked again; 0 for now")
    cause: str | None = Field(description="Why it is held, or was")
    requests_per_minute: float | None = Field(description="As docmill.toml has them")
    tokens_per_minute: float | None
    open_calls: int | None
    waiting: list[WaitingShown]
    lately: LatelyShown | None = Field(
        description="By calls for the latest 500 jobs and those under way; null where none of them asked it"
    )


class Models(BaseModel):
    """Every model by its name in ladders."""

    models: list[ModelShown]
    broken: list[str] = Field(description="Why others cannot be asked")


class MonthShown(BaseModel):
    """A month so far, where it will end, and what such a load costs."""

    since: date
    days: int = Field(description="Of the month")
    total_usd: str | None = Field(description="What it has cost so far; null where some of it is unknown")
    known_usd: str = Field(description="The sum of what is known")
    end: SpanShown | None = Field(description="What it will have cost at its end; null where `why` says why")
    cap_usd: str | None = Field(description="The lowest that may be spent in it; null without one")
    load: ForecastShown | None = Field(description="What the load of the last days costs")
    why: str | None = Field(description="Why nobody can say what is to come")


class KeyShown(BaseModel):
    """What is known of a key; the key itself is kept nowhere."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None = Field(description="To the minute; null for one that was never used")
    revoked_at: datetime | None


class Keys(BaseModel):
    """Every key, the oldest first."""

    keys: list[KeyShown]


@router.get("/models", response_model=Models, summary="The models, and who waits for them", tags=["models"])
def list_models(request: Request, database: Database, asking: Asking) -> Models:
    """Holds and limits are of all tenants; who waits, and how it answered lately, is of the caller's."""
    asking.check("read")
    found = look_at(request.app.state.services, database, asking.tenant)
    return Models(models=[_model(each) for each in found.models], broken=list(found.broken))


@router.get("/forecast", response_model=MonthShown, summary="Where the month will end", tags=["costs"])
def show_forecast(request: Request, database: Database, asking: Asking) -> MonthShown:
    """Of the caller's tenant, in the time zone of the settings."""
    asking.check("read")
    with database.work() as connection:
        seen = outlook(connection, request.app.state.settings, asking)
    spent = plain_usd(seen.month.spent[-1])
    return MonthShown(
        since=seen.now.date().replace(day=1),
        days=seen.month.days,
        total_usd=spent if seen.month.known else None,
        known_usd=spent,
        end=None if seen.end is None else _span(seen.end),
        cap_usd=None if seen.cap is None else plain_usd(seen.cap),
        load=None if seen.load is None else _load(money.forecast(seen.load)),
        why=seen.why or None,
    )


@router.get("/keys", response_model=Keys, summary="Who may use the API", tags=["keys"])
def list_keys(database: Database, asking: Asking) -> Keys:
    """Of all tenants, for whoever looks after them: the scope `admin`."""
    asking.check("admin")
    return Keys(keys=[KeyShown(**vars(each)) for each in database.run(db.keys.listed)])


def _model(seen: ModelSeen) -> ModelShown:
    model, state, lately = seen.model, seen.state, seen.lately
    return ModelShown(
        name=model.name,
        provider=model.provider,
        model=model.model,
        account=model.account,
        state=_stands(seen),
        held_s=round(max(state.hold_s, seen.limited_s), 3),
        cause="rate_limited" if seen.limited_s > state.hold_s else state.hold_cause,
        requests_per_minute=model.requests_per_minute,
        tokens_per_minute=model.tokens_per_minute,
        open_calls=model.open_calls,
        waiting=[WaitingShown(feature=each.feature, jobs=each.jobs, until=each.until) for each in seen.waiting],
        lately=None if lately is None else LatelyShown.model_validate(vars(lately)),
    )


def _stands(seen: ModelSeen) -> str:
    if seen.state.hold_cause is not None:
        return "held" if seen.state.hold_s else "probed"
    return "limited" if seen.limited_s else "free"


def _load(found: money.Forecast) -> ForecastShown:
    return ForecastShown(day=_span(found.day), month=_span(found.month), formula=found.formula)


def _span(spread: Spread) -> SpanShown:
    return SpanShown(p50=f"{spread.p50:f}", p95=f"{spread.p95:f}")
