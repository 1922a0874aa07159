"""The answers of prompts in the OpenAPI: a schema for each version, and jobs as a union told apart by prompt.

Of these, generators of clients make types: once ``job.prompt`` is looked at, ``job.value`` has its answer's type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from docmill.errors import PromptError
from docmill.llm.wire.schemas import GIVEN, NAMED, UNSAID
from prompts import PromptVersion, Registry

__all__ = ["COMPONENTS", "Names", "answers", "by_prompt", "jobs", "listed_prompts", "ref"]

COMPONENTS = "#/components/schemas/"
DEFINITION = re.compile(r"#/(\$defs|definitions)/([^/]+)(.*)", re.DOTALL)
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")
LEFT_OUT = UNSAID | {"$id", "$schema"}
"""Keywords of no use to who reads an answer; by the last two, references would lead elsewhere."""
TOLD = (
    "null until there is one. Of a job that needs review, what the model said, which may not fit; of one from"
    " before a draft was changed, what the draft asked for then"
)
WAITS = "null until its first stage has begun, by which it is pinned to a version"
NO_PROMPT = {"type": ["string", "null"], "enum": [None, ""], "description": "null"}
"""Null alone; but for a field that is never anything else, generators of clients have no type."""

Schema: TypeAlias = dict[str, Any]
Versions: TypeAlias = Mapping[str, Mapping[str, str]]
"""By prompt and version, the component that is its answer."""


@dataclass(kw_only=True)
class Names:
    """Names of components, each given once: prompts may be called what no component can be."""

    taken: set[str] = field(default_factory=set)

    def give(self, *parts: str) -> str:
        """A name made of these, that differs from all others by more than its capitals."""
        wanted = NOT_IN_NAMES.sub("_", "_".join(parts))
        name, number = wanted, 1
        while name.casefold() in self.taken:
            number += 1
            name = f"{wanted}__{number}"
        self.taken.add(name.casefold())
        return name


def ref(name: str) -> Schema:
    """A reference to a component."""
    return {"$ref": COMPONENTS + name}


def listed_prompts(registry: Registry) -> list[str]:
    """The prompts that can be asked for: a folder may have a name that no text is."""
    return [name for name in registry.names() if name == _text(name)]


def answers(registry: Registry, names: Names) -> tuple[Mapping[str, Schema], Versions]:
    """Each version's answer as it is kept, with its definitions, as components; and which is whose.

    A version whose files do not load has none.
    """
    found: dict[str, Schema] = {}
    versions: dict[str, dict[str, str]] = {}
    for prompt, schema in _loaded(registry):
        called = names.give("Answer", prompt.name, prompt.version)
        found |= _apart(called, schema, names)
        versions.setdefault(prompt.name, {})[prompt.version] = called
    return found, versions


def by_prompt(versions: Versions) -> Schema:
    """Returns what any version of a prompt gives, by the prompt's name."""
    told = "By prompt, the value of a job of it that was accepted"
    members = {name: {"anyOf": [ref(called) for called in of.values()]} for name, of in versions.items()}
    return {"type": "object", "description": told, "properties": members, "required": list(members)}


def jobs(shown: Schema, versions: Versions, prefix: str, names: Names) -> tuple[Schema, Mapping[str, Schema]]:
    """Returns what ``shown`` says of a job: a union of a schema a version, and its members, by ``prefix``.

    It is told apart by ``prompt``, and below that by ``version``, null before a job has begun. Each member
    has all fields: many generators of clients do not put a schema together out of several.
    """
    none = names.give(prefix, "indexed")
    members = {none: _job(shown, "A job that asked no prompt", prompt=NO_PROMPT)}
    of_prompts = {prompt: _of_prompt(shown, prompt, of, prefix, names, members) for prompt, of in versions.items()}
    if not of_prompts:
        return ref(none), members
    asked = names.give(prefix, "asked")
    members[asked] = _union("prompt", of_prompts)
    return {"anyOf": [ref(asked), ref(none)]}, members


def _of_prompt(
    shown: Schema, prompt: str, of: Mapping[str, str], prefix: str, names: Names, members: dict[str, Schema]
) -> str:
    """The component that a job of the prompt is, put among the members with those of its versions."""
    these = {version: names.give(prefix, prompt, version) for version in of}
    for version, called in these.items():
        named = {"prompt": _only(prompt), "version": _only(version) if len(these) > 1 else _or_null(version)}
        value = {"anyOf": [ref(of[version]), {"type": "null"}], "description": TOLD}
        members[called] = _job(shown, f"A job of {prompt}/{version}", **named, value=value)
    if len(these) == 1:
        return called
    begun, waits, either = (names.give(prefix, prompt, *what) for what in (("begun",), ("waits",), ()))
    members[begun] = _union("version", these)
    value = {"anyOf": [*map(ref, of.values()), {"type": "null"}], "description": "null"}
    told = f"A job of {prompt} that has not begun"
    members[waits] = _job(shown, told, prompt=_only(prompt), version=_or_null(), value=value)
    members[either] = {"type": "object", "anyOf": [ref(begun), ref(waits)]}
    return either


def _only(word: str) -> Schema:
    return {"type": "string", "enum": [word]}


def _or_null(*versions: str) -> Schema:
    """The version of a job that may not have begun; for the empty text see ``NO_PROMPT``."""
    return {"type": ["string", "null"], "enum": [*versions, None, ""], "description": WAITS}


def _job(shown: Schema, told: str, **fields: Schema) -> Schema:
    return {"type": "object", "description": told, **shown, "properties": {**shown["properties"], **fields}}


def _union(told_apart_by: str, members: Mapping[str, str]) -> Schema:
    """An object, too: it is a discriminator's rule that its choices are some."""
    return {
        "type": "object",
        "oneOf": [ref(name) for name in members.values()],
        "discriminator": {
            "propertyName": told_apart_by,
            "mapping": {value: COMPONENTS + name for value, name in members.items()},
        },
    }


def _loaded(registry: Registry) -> Iterator[tuple[PromptVersion, Schema]]:
    for name in listed_prompts(registry):
        for version in registry.versions(name):
            try:
                prompt = registry.get(name, version)
                yield prompt, prompt.kept_schema
            except PromptError:
                continue  # told by readiness, and by doctor


def _apart(called: str, schema: Schema, names: Names) -> dict[str, Schema]:
    """The schema, and each of its definitions, as components of their own."""
    of = {
        (keyword, name): names.give(called, name)
        for keyword in ("$defs", "definitions")
        for name in schema.get(keyword, {})
    }
    whole = {keyword: part for keyword, part in schema.items() if keyword not in ("$defs", "definitions")}
    parts = {called: whole, **{own: schema[keyword][name] for (keyword, name), own in of.items()}}
    written = _Written(called=called, definitions=of)
    return {name: written.schema(part) for name, part in parts.items()}


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A schema as it stands in the OpenAPI: its references lead there, and all that is in it can be written."""

    called: str
    definitions: Mapping[tuple[str, str], str]

    def schema(self, part: Any) -> Any:
        if isinstance(part, list | tuple):
            return [self.schema(each) for each in part]
        if not isinstance(part, dict):
            return _plain(part)
        found = {
            _text(keyword): self._keyword(keyword, each)
            for keyword, each in part.items()
            if keyword not in LEFT_OUT and _is_written(each)
        }
        if isinstance(part.get("properties"), dict):
            found["required"] = [*map(_text, part["properties"])]  # what is kept has every field
        return found

    def _keyword(self, keyword: str, value: Any) -> Any:
        if keyword == "$ref" and isinstance(value, str):
            return self._reference(value)
        if keyword == "discriminator" and isinstance(value, dict):
            mapping = {_text(name): self._reference(each) for name, each in value.get("mapping", {}).items()}
            return {**value, "mapping": mapping}
        if keyword in NAMED and isinstance(value, dict):
            return {_text(name): self.schema(each) for name, each in value.items()}
        return _plain(value) if keyword in GIVEN else self.schema(value)

    def _reference(self, to: str) -> str:
        found = DEFINITION.fullmatch(to)
        if found is not None:
            keyword, name, within = found.groups()
            own = self.definitions.get((keyword, unquote(name).replace("~1", "/").replace("~0", "~")))
            if own is not None:
                return COMPONENTS + own + within
        return COMPONENTS + self.called + to[1:] if to.startswith("#") else to


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_text(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(each) for each in value if _is_written(each)]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _is_written(value: Any) -> bool:
    """JSON has no word for a number without end."""
    return not isinstance(value, float) or math.isfinite(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()
