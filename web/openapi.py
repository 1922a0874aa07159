"""The application's OpenAPI: what FastAPI finds, completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from docmill.errors import PromptError
from prompts import Registry
from web.answer_schemas import Names, answers, by_prompt, jobs, listed_prompts, ref
from web.client_generators import leave_out_defaults, leave_out_items_of_streams, leave_out_openness
from web.problems import ProblemDetails
from web.schemas import AddressWanted, FileToIndex, FileWanted, JobWanted, LineWanted, TextToIndex

__all__ = ["Contents", "contents", "document"]

Contents: TypeAlias = Mapping[str, bytes | None]
"""By prompt and version, a hash of its files; None for those that do not load."""
DESCRIBED = (JobWanted, AddressWanted, FileWanted, LineWanted, TextToIndex, FileToIndex, ProblemDetails)
"""Models that only references name."""


def contents(registry: Registry) -> Contents:
    """Returns what the document is made of, as far as it changes."""
    found: dict[str, bytes | None] = {}
    for name in listed_prompts(registry):
        for version in registry.versions(name):
            try:
                found[f"{name}/{version}"] = registry.get(name, version).content_hash
            except PromptError:
                found[f"{name}/{version}"] = None
    return found


def document(app: FastAPI, registry: Registry | None) -> dict[str, Any]:
    """Makes the document: what FastAPI finds, with the models that only references name, and with the prompts.

    Without a registry it is the same for all stacks, and says nothing of the prompts of this one.
    """
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    models: Any = [(model, "validation") for model in DESCRIBED]
    _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schemas = found["components"]["schemas"]
    schemas.update(definitions["$defs"])
    _name_parts(schemas)
    if registry is None:
        schemas.update(Prompt={"type": "string"}, Version={"type": "string"})
    else:
        _name_prompts(schemas, registry)
        _tell_answers(schemas, registry)
    leave_out_defaults(found)
    leave_out_openness(schemas)
    leave_out_items_of_streams(found)
    if not app.state.keys_needed:
        for path in found["paths"].values():
            for operation in path.values():
                if "security" in operation:
                    operation["security"].append({})
    return found


def _name_prompts(schemas: dict[str, Any], registry: Registry) -> None:
    """The prompts and versions that a request may name."""
    names = listed_prompts(registry)
    versions = sorted({version for name in names for version in registry.versions(name)})
    schemas["Prompt"] = {"type": "string", "enum": names}
    schemas["Version"] = {"type": "string", "enum": versions}
    for name in ("JobWanted", "AddressWanted", "FileWanted", "QuestionWanted"):
        fields = schemas[name]["properties"]
        fields["prompt"] |= {"enum": names}
        fields["version"] |= {"anyOf": [{"$ref": "#/components/schemas/Version"}, {"type": "null"}]}


def _tell_answers(schemas: dict[str, Any], registry: Registry) -> None:
    """Jobs with their answers, each of the type that its prompt's version gives."""
    names = Names(taken={name.casefold() for name in schemas})
    parts, versions = answers(registry, names)
    for name, prefix in (("JobShown", "Job"), ("JobDetails", "JobDetails")):
        shown = {of: part for of, part in schemas[name].items() if of in ("properties", "required")}
        union, members = jobs(shown, versions, prefix, names)
        told = {of: part for of, part in schemas[name].items() if of in ("description", "examples")}
        schemas.update({name: {**told, **union}}, **members)
    schemas["JobPage"]["properties"]["jobs"]["items"] = {"anyOf": [ref("JobShown"), ref("ListedJob")]}
    schemas.update(parts, Answers=by_prompt(versions))


def _name_parts(schemas: dict[str, Any]) -> None:
    """What all jobs have in common gets a name of its own, and is said once."""
    fields = schemas["JobShown"]["properties"]
    schemas["Place"] = fields["evidence"]["anyOf"][0]["additionalProperties"]
    schemas["Failure"] = fields["failure"]["anyOf"][0]
    for name in ("ListedJob", "JobShown", "JobDetails"):
        schemas[name]["properties"]["failure"]["anyOf"][0] = ref("Failure")
    for name in ("JobShown", "JobDetails", "AnswerRow"):
        schemas[name]["properties"]["evidence"]["anyOf"][0]["additionalProperties"] = ref("Place")
