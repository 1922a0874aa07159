"""Whether the process lives, whether what it needs answers, and figures for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from pydantic import BaseModel
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from docmill.errors import ServiceAway
from web.access import Database
from web.fleet import Fleet
from web.problems import Problem, documented

__all__ = ["router"]

router = APIRouter(tags=["health"])

ANSWERS, AWAY = "answers", "away"


class Health(BaseModel):
    """The process lives."""

    status: str = "ok"


class Readiness(BaseModel):
    """What answers."""

    status: str = "ready"
    database: str = ANSWERS
    broker: str = ANSWERS


@router.get("/healthz", summary="The process lives")
def healthz() -> Health:
    return Health()


@router.get("/readyz", summary="Database and broker answer", responses=documented(503))
def readyz(request: Request, engine: Database) -> Readiness:
    """503 says what is away. While only the broker is, jobs are accepted, and start once it is back."""
    away = {name: told for name, told in (_database(engine), _broker(request.app.state.fleet)) if told}
    if away:
        found = {name: AWAY if name in away else ANSWERS for name in ("database", "broker")}
        raise Problem(503, "; ".join(away.values()), {"retry-after": "5"}, **found)
    return Readiness()


def _database(engine: Engine) -> tuple[str, str | None]:
    try:
        with engine.connect() as connection:
            connection.execute(text("select 1"))
    except SQLAlchemyError as error:
        return "database", f"the database does not answer ({type(error).__name__}): start it"
    return "database", None


def _broker(fleet: Fleet) -> tuple[str, str | None]:
    try:
        fleet.check()
    except ServiceAway as error:
        return "broker", str(error)
    return "broker", None


METRICS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}, "description": "Gauges"}}


@router.get(
    "/metrics", response_class=Response, summary="For Prometheus", responses={**METRICS, **documented(503)}
)
def metrics(engine: Database) -> Response:
    """Read from Postgres, so that each replica tells the same of the whole fleet."""
    return Response(_metrics(engine), media_type=CONTENT_TYPE_LATEST)


def _metrics(engine: Engine) -> bytes:
    registry = CollectorRegistry()
    waiting = Gauge("docmill_jobs_open", "Jobs that have not ended", ["stage", "wait"], registry=registry)
    slots = Gauge("docmill_worker_slots", "Slots of workers seen lately", ["queue"], registry=registry)
    doubtful = Gauge("docmill_calls_in_doubt", "Calls of unknown outcome", registry=registry)
    with engine.connect() as connection:
        for row in connection.execute(
            text("select stage, wait, count(*) as n from jobs where wait is not null group by stage, wait")
        ):
            waiting.labels(row.stage, row.wait).set(row.n)
        for row in connection.execute(
            text(
                "select queue, sum(slots) as n from workers"
                " where seen_at > clock_timestamp() - interval '30 s' group by queue"
            )
        ):
            slots.labels(row.queue).set(row.n)
        doubtful.set(connection.execute(text("select count(*) from calls where state = 'in_doubt'")).scalar_one())
    return generate_latest(registry)
