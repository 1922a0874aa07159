"""The HTTP application: ``python -m web --port P``."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import Engine, text

from docmill.settings import Settings
from prompts import Registry
from web import costs, jobs, problems
from web.access import Database, is_loopback

__all__ = ["make_app"]


def make_app(settings: Settings, engine: Engine, registry: Registry, *, host: str) -> FastAPI:
    """The application as it listens on ``host``: beyond loopback every caller needs a key."""
    app = FastAPI(title="docmill", summary="Documents through language models in earnest")
    app.state.settings = settings
    app.state.engine = engine
    app.state.registry = registry
    app.state.keys_needed = not is_loopback(host)
    problems.install(app)
    app.include_router(jobs.router)
    app.include_router(costs.router)
    _add_health(app)
    return app


def _add_health(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/costs")

    @app.get("/healthz", tags=["health"], summary="The process lives")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["health"], summary="The database answers")
    def readyz(engine: Database) -> dict[str, str]:
        with engine.connect() as connection:
            connection.execute(text("select 1"))
        return {"status": "ready"}

    @app.get("/metrics", tags=["health"], summary="For Prometheus")
    def metrics(engine: Database) -> Response:
        return Response(_metrics(engine), media_type=CONTENT_TYPE_LATEST)


def _metrics(engine: Engine) -> bytes:
    """Gauges read from Postgres, so that each replica tells the same of the whole fleet."""
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
