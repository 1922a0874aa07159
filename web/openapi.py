"""The application's OpenAPI: what FastAPI finds, completed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from prompts import Registry
from web.clients import answers, leave_out_defaults
from web.problems import ProblemDetails
from web.schemas import FileToIndex, FileWanted, JobWanted, LineWanted, TextToIndex

__all__ = ["described"]

DESCRIBED = (JobWanted, FileWanted, LineWanted, TextToIndex, FileToIndex, ProblemDetails)
"""Models that only references name."""


def described(app: FastAPI, registry: Registry) -> Callable[[], dict[str, Any]]:
    """What makes the document, once, when it is first asked for."""

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
    schemas.update(answers(registry))
    leave_out_defaults(found)
    if not app.state.keys_needed:
        for path in found["paths"].values():
            for operation in path.values():
                if "security" in operation:
                    operation["security"].append({})
    return found
