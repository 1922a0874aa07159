"""The HTTP application: ``python -m web --port P``."""

from __future__ import annotations

from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline

from docmill.reading import Reader
from tasks.services import Services
from web import documents, health, problems
from web.access import BEARER, is_loopback
from web.at_once import bound_requests
from web.fleet import Fleet
from web.health import Watches
from web.layers import put_before
from web.limits import Bounds
from web.openapi_route import operation_id, serve
from web.pages.all import PAGES
from web.queries import refuse_unknown
from web.routes import API

__all__ = ["make_app"]

STATIC = Path(__file__).parent / "static"
"""Styles and pictures of the pages; they need no key."""


def make_app(services: Services, *, host: str, fleet: Fleet, bounds: Bounds = Bounds()) -> FastAPI:  # noqa: B008 - frozen
    """The application as it listens on ``host``: beyond loopback every caller needs a key."""
    # The documentation's scripts ship with the package: nothing is fetched from elsewhere.
    app: FastAPI = FastAPIOffline(
        title="docmill",
        summary="Documents through language models in earnest",
        redoc_url=None,
        dependencies=[Depends(refuse_unknown)],
        generate_unique_id_function=operation_id,
    )
    app.state.services = services
    app.state.settings = services.settings
    app.state.database = services.database
    bound_requests(app)
    app.state.registry = services.registry
    app.state.fleet = fleet
    app.state.watches = Watches.of(services.database, fleet)
    app.state.pictures = documents.Pictures(reader=services.reader or Reader())
    app.state.keys_needed = not is_loopback(host)
    put_before(app, bounds=bounds, origins=services.settings.origins)
    problems.install(app)
    for room in API:
        app.include_router(room, dependencies=[Depends(BEARER)])
    for page in PAGES:
        app.include_router(page)
    app.include_router(health.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    serve(app, services.registry)
    return app
