"""What it cost, and what it will."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, WithJsonSchema

import db.costs
from db.costs import CostRow, plain_usd
from docmill import money
from web.access import Database, Reading, Tenant
from web.problems import documented
from web.schemas import Day, Storable

__all__ = ["ForecastShown", "SpanShown", "router"]

router = APIRouter(prefix="/v1", tags=["costs"], responses=documented(401, 422, 503))

BY = ("feature", "user", "day", "model", "prompt", "version", "remedy")
COST_EXAMPLE: dict[str, Any] = {
    "by": ["feature"],
    "rows": [
        {
            "feature": "bookkeeping",
            "calls": 120,
            "failed": 1,
            "cached": 14,
            "unpriced": 0,
            "possibly_billed": 0,
            "input_tokens": 49440,
            "cached_tokens": 0,
            "output_tokens": 4560,
            "accepted": 118,
            "cost_usd": "0.02148",
            "saved_usd": "0.0025",
            "surplus_usd": "0",
            "rejected_usd": "0.0006",
            "failed_usd": "0.00018",
            "wasted_usd": "0.00078",
            "usd_per_accepted": "0.0001820339",
        }
    ],
    "total_usd": "0.02148",
    "known_usd": "0.02148",
    "unpriced": 0,
    "possibly_billed": 0,
}


class CostsShown(BaseModel):
    """The ledger, summed. Each row has a member for each word of `by`."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [COST_EXAMPLE]})

    by: list[str]
    rows: list[dict[str, Any]]
    total_usd: str | None = Field(description="Null where nothing is known of what some row cost")
    known_usd: str = Field(description="The sum of what is known")
    unpriced: int = Field(description="Answers whose cost is unknown, and in no sum")
    possibly_billed: int = Field(description="Calls of unknown outcome, and in no sum")


def _by(said: str) -> list[str]:
    names = [name.strip() for name in said.split(",") if name.strip()]
    wrong = [name for name in names if name not in BY]
    if wrong or not names:
        raise ValueError(f"some of {', '.join(BY)}, parted by commas")
    return list(dict.fromkeys(names))


By = Annotated[
    str,
    AfterValidator(lambda said: ",".join(_by(said))),
    Query(
        description=f"Some of {', '.join(BY)}, parted by commas",
        json_schema_extra={"pattern": f"^({'|'.join(BY)})(,({'|'.join(BY)}))*$", "example": "feature,day"},
    ),
]


@router.get("/costs", response_model=CostsShown, summary="The ledger, summed")
def costs(
    request: Request,
    database: Database,
    tenant: Tenant,
    by: By = "feature",
    since: Annotated[Day | None, Query(description="The first day")] = None,
    until: Annotated[Day | None, Query(description="The last day")] = None,
    feature: Storable | None = None,
    user: Storable | None = None,
    prompt: Storable | None = None,
    model: Storable | None = None,
) -> dict[str, Any]:
    """Days are days in the time zone of the settings.

    `cost_usd` is null where nothing is known of it. `wasted_usd` is what was paid for answers that were rejected,
    of jobs that failed, or that came twice.
    """
    names = _by(by)
    timezone = request.app.state.settings.timezone
    with database.work() as connection:
        wanted = {"feature": feature, "user": user, "prompt": prompt, "model": model}
        only = {name: value for name, value in wanted.items() if value is not None}
        rows = db.costs.costs(
            connection, names, timezone=timezone, tenant=tenant, since=since, until=until, only=only
        )
    return {
        "by": names,
        "rows": [row.as_json() for row in rows],
        "total_usd": plain_usd(_total(rows)) if all(row.known for row in rows) else None,
        "known_usd": plain_usd(_total(rows)),
        "unpriced": sum(row.unpriced for row in rows),
        "possibly_billed": sum(row.possibly_billed for row in rows),
    }


LOAD_EXAMPLE: dict[str, Any] = {
    "requests_per_day": 2000,
    "input_tokens": 1800,
    "output_tokens": 250,
    "input_price": "0.25",
    "output_price": "2.00",
    "cache_hit_rate": 0.1,
}
Number = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[Number, Field(le=1)]
Amount = Annotated[Number, Field(le=1e9)]


def _no_truth(value: object) -> object:
    """Python takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("a number, or a decimal as a text")
    return value


PRICE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1e6},
        {"type": "string", "pattern": r"^\d{1,6}(\.\d{1,10})?$"},
    ]
}
PriceAMillion = Annotated[
    Decimal,
    BeforeValidator(_no_truth),
    Field(ge=0, le=1_000_000, allow_inf_nan=False),
    WithJsonSchema(PRICE_SCHEMA),
]


class LoadWanted(BaseModel):
    """What is asked of the models, a day."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [LOAD_EXAMPLE]})

    requests_per_day: Amount
    input_tokens: Amount = Field(description="Of one request")
    output_tokens: Amount = Field(description="Of one request")
    input_price: PriceAMillion = Field(description="USD a million tokens")
    output_price: PriceAMillion = Field(description="USD a million tokens")
    cache_hit_rate: Rate = 0
    retry_rate: Annotated[Number, Field(le=100)] = 0
    escalation_rate: Rate = 0
    scale: Annotated[Number, Field(le=1e6)] = 1


class SpanShown(BaseModel):
    """USD, as decimals: at most ``p50`` half of the times, at most ``p95`` 95 times in a hundred."""

    p50: str
    p95: str


class ForecastShown(BaseModel):
    """What a load will cost."""

    model_config = ConfigDict(extra="allow")

    day: SpanShown
    month: SpanShown
    formula: str = Field(description="The sum as a person would write it")


@router.post(
    "/forecast", response_model=ForecastShown, summary="What a load will cost", responses=documented(400, 408, 413)
)
def forecast(load: LoadWanted, _: Reading) -> dict[str, Any]:
    """At most `p50` half of the times, at most `p95` 95 times in a hundred, in USD."""
    found = money.forecast(money.Load(**dict(load)))
    spans = {"day": found.day, "month": found.month}
    told = {name: {"p50": f"{span.p50:f}", "p95": f"{span.p95:f}"} for name, span in spans.items()}
    return {**told, "formula": found.formula}


def _total(rows: Sequence[CostRow]) -> Decimal:
    return sum((row.cost_usd for row in rows), Decimal(0))
