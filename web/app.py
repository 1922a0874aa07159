"""The HTTP application: ``python -m web --port P``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from pydantic.json_schema import models_json_schema

from docmill.reading import Reader
from prompts import Registry
from tasks.services import Services
from web import collections, costs, documents, health, jobs, problems, reviews, runs, webhooks
from web.access import BEARER, is_loopback
from web.fleet import Fleet
from web.following import Followers
from web.health import Watches
from web.limits import BodyLimit, Bounds
from web.pages.all import PAGES
from web.problems import ProblemDetails
from web.queries import refuse_unknown
from web.schemas import FileToIndex, FileWanted, JobWanted, LineWanted, TextToIndex

__all__ = ["make_app"]

DESCRIBED = (JobWanted, FileWanted, LineWanted, TextToIndex, FileToIndex, ProblemDetails)
"""Models that only references name."""
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
    )
    app.state.services = services
    app.state.settings = services.settings
    app.state.database = services.database
    app.state.followers = Followers()
    sent = "files are being sent: try again in a moment"
    app.state.downloads = Followers(most=documents.MOST_DOWNLOADS, told=sent)
    app.state.registry = services.registry
    app.state.fleet = fleet
    app.state.watches = Watches.of(services.database, fleet)
    app.state.pictures = documents.Pictures(reader=services.reader or Reader())
    app.state.keys_needed = not is_loopback(host)
    app.add_middleware(BodyLimit, bounds=bounds)
    problems.install(app)
    app.include_router(jobs.router, dependencies=[Depends(BEARER)])
    app.include_router(runs.router, dependencies=[Depends(BEARER)])
    app.include_router(documents.router, dependencies=[Depends(BEARER)])
    app.include_router(collections.router, dependencies=[Depends(BEARER)])
    app.include_router(costs.router, dependencies=[Depends(BEARER)])
    app.include_router(reviews.router, dependencies=[Depends(BEARER)])
    app.include_router(webhooks.router, dependencies=[Depends(BEARER)])
    for page in PAGES:
        app.include_router(page)
    app.include_router(health.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.openapi = _described(app, services.registry)  # type: ignore[method-assign] # the documented way to extend it
    return app


def _described(app: FastAPI, registry: Registry) -> Callable[[], dict[str, Any]]:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _openapi(app, registry)
        return app.openapi_schema

    return openapi


def _openapi(app: FastAPI, registry: Registry) -> dict[str, Any]:
    """What FastAPI finds, with the models that only references name, and with the prompts that there are."""
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    models: Any = [(model, "validation") for model in DESCRIBED]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas = found["components"]["schemas"]
    schemas.update(definitions["$defs"])
    versions = sorted({version for name in registry.names() for version in registry.versions(name)})
    schemas["Prompt"] = {"type": "string", "enum": registry.names()}
    schemas["Version"] = {"type": "string", "enum": versions}
    for name in ("JobWanted", "FileWanted", "QuestionWanted"):
        fields = schemas[name]["properties"]
        fields["prompt"] |= {"enum": registry.names()}
        fields["version"] |= {"anyOf": [{"$ref": "#/components/schemas/Version"}, {"type": "null"}]}
    if not app.state.keys_needed:
        for path in found["paths"].values():
            for operation in path.values():
                if "security" in operation:
                    operation["security"].append({})
    return found
