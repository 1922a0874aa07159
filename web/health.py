"""Whether the process lives, whether what it needs answers, and figures for Prometheus.

Nothing here waits in line with other requests: neither for a thread nor for a connection to the database.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.exc import SQLAlchemyError

from db.database import Database
from db.engine import ALIVE
from db.fleet import Trouble, troubles
from docmill.errors import ServiceAway
from docmill.settings import Settings
from web.access import caller
from web.figures import figures
from web.fleet import Fleet
from web.problems import Problem, documented
from web.watch import Watch

__all__ = ["Watches", "router"]

router = APIRouter(tags=["health"])

ANSWERS, AWAY = "answers", "away"
WORKS, GOES_ON, BREAKS = "works", "goes on", "breaks"
READY_WITHIN_S = 2.0
FIGURES_WITHIN_S, FIGURES_KEPT_S = 4.0, 5.0


@dataclass(frozen=True, kw_only=True)
class Watches:
    """What is looked at for readiness and for figures."""

    database: Watch[list[Trouble]]
    """With what keeps upkeep from being whole."""
    broker: Watch[None]
    figures: Watch[bytes]

    @classmethod
    def of(cls, database: Database, fleet: Fleet) -> Watches:
        # A connection of its own for each look: all of the pool's may be held by requests that hang.
        alone = create_engine(
            database.engine.url,
            poolclass=NullPool,
            connect_args={"connect_timeout": 2, **ALIVE},
            hide_parameters=True,
        )
        return cls(
            database=Watch(partial(_ask_database, alone), within_s=READY_WITHIN_S),
            broker=Watch(fleet.check, within_s=READY_WITHIN_S),
            figures=Watch(partial(database.run, figures), within_s=FIGURES_WITHIN_S, kept_s=FIGURES_KEPT_S),
        )


class Health(BaseModel):
    """The process lives."""

    status: str = "ok"


class Readiness(BaseModel):
    """What answers, and whether workers look after what got lost."""

    status: str = "ready"
    database: str = ANSWERS
    broker: str = ANSWERS
    upkeep: str = WORKS
    told: list[str] = []
    """What upkeep goes on without: rows, or files in a spool, that it had to leave out."""


@router.get("/healthz", summary="The process lives", responses=documented(422))
async def healthz() -> Health:
    return Health()


@router.get("/readyz", summary="Database and broker answer", responses=documented(422, 503))
async def readyz(request: Request) -> Readiness:
    """503 says what is away, or which part of upkeep breaks. While only the broker is away, jobs are accepted, and
    start once it is back.
    """
    watches: Watches = request.app.state.watches
    names = ("database", "broker")
    looks = await asyncio.gather(*(_look(name, getattr(watches, name)) for name in names))
    away = {name: look for name, look in zip(names, looks, strict=True) if isinstance(look, str)}
    seen: list[Trouble] = looks[0] if isinstance(looks[0], list) else []
    broken = [str(trouble) for trouble in seen if trouble.breaks]
    upkeep = BREAKS if broken else GOES_ON if seen else WORKS
    if away or broken:
        found = {name: AWAY if name in away else ANSWERS for name in names}
        raise Problem(503, "; ".join([*away.values(), *broken]), {"retry-after": "5"}, **found, upkeep=upkeep)
    return Readiness(upkeep=upkeep, told=[str(trouble) for trouble in seen])


async def _look(name: str, watch: Watch[Any]) -> object:
    """What was seen; or, as a text, why nothing was."""
    try:
        return await watch.seen()
    except TimeoutError:
        return f"the {name} does not answer within {READY_WITHIN_S:g} s"
    except SQLAlchemyError as error:
        return f"the {name} does not answer ({type(error).__name__}): start it"
    except ServiceAway as error:
        return str(error)


def _ask_database(engine: Engine) -> list[Trouble]:
    with engine.connect() as connection:
        return troubles(connection)


async def may_scrape(request: Request) -> None:
    """Raises Problem for who may not see the fleet's figures."""
    settings: Settings = request.app.state.settings
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    wanted = settings.metrics_key
    if wanted is not None and kind.lower() == "bearer":
        known = hashlib.sha256(wanted.get_secret_value().encode()).digest()
        if secrets.compare_digest(hashlib.sha256(shown.strip().encode()).digest(), known):
            return
    asking = await caller(request, request.app.state.database)
    asking.check("admin")


METRICS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {}}, "description": "Gauges, counters and histograms"}
}


@router.get(
    "/metrics",
    response_class=Response,
    summary="For Prometheus",
    responses={**METRICS, **documented(401, 403, 422, 503)},
)
async def metrics(request: Request, _: Annotated[None, Depends(may_scrape)]) -> Response:
    """Beyond loopback with the key of `DOCMILL_METRICS_KEY`, or one with the scope `admin`. Figures are of all
    tenants, and some seconds old.
    """
    watches: Watches = request.app.state.watches
    try:
        return Response(await watches.figures.seen(), media_type=CONTENT_TYPE_LATEST)
    except TimeoutError as error:
        raise Problem(503, "the database takes too long to count: try again", {"retry-after": "5"}) from error
