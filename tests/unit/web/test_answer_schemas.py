"""What the OpenAPI says of jobs: told apart by their prompt, each with its answer's type, whatever prompts are called."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from sqlalchemy import create_engine

from db.database import Database
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.services import Services
from web.answer_schemas import COMPONENTS
from web.app import make_app
from web.fleet import Fleet
from web.schemas import JOB_EXAMPLE

RECURSIVE = (
    """
class Node(BaseModel):
    name: str
    below: list[Node] = []
class Output(BaseModel):
    root: Node
""",
    {"root": {"name": "a", "below": [{"name": "b", "below": []}]}},
)
ITSELF = (
    """
class Output(BaseModel):
    name: str
    below: list[Output] = []
""",
    {"name": "a", "below": [{"name": "b", "below": []}]},
)
TAGGED = (
    """
class Cat(BaseModel):
    kind: Literal["cat"]
class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool = False
class Output(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    either: int | str | list[Cat] | None
""",
    {"pet": {"kind": "dog", "barks": True}, "either": [{"kind": "cat"}]},
)
WORDS = """
class Output(BaseModel):
    ref: str = Field(alias="$ref")
    defs: int = Field(alias="$defs")
    properties: dict[str, int]
    required: bool
    default: str = "x"
    title: str
    enum: list[str]
    class_: str = Field(alias="class")
    proto: str = Field(alias="__proto__")
    odd: Decimal = Field(alias="a-b c/d~e")
    nameless: str = Field(alias="")
    high: float = Field(le=float("inf"))
    half: str = Field(description="\\ud800")
""", {
    "$ref": "#/nowhere", "$defs": 1, "properties": {"$ref": 1}, "required": True, "default": "", "title": "", "enum": [],
    "class": "", "__proto__": "", "a-b c/d~e": 1.5, "": "", "high": 1.5, "half": "",
}  # fmt: skip
GENERIC = (
    """
T = TypeVar("T")
class Box(BaseModel, Generic[T]):
    inside: T
class Output(BaseModel):
    model_config = ConfigDict(extra="allow")
    one: Box[int]
    two: Box[Box[str]]
    by: dict[str, list[Box[int]]]
""",
    {"one": {"inside": 1}, "two": {"inside": {"inside": "x"}}, "by": {"a": [{"inside": 2}]}, "more": 3},
)
DEFINITION_CALLED_V1 = (
    """
class v1(BaseModel):
    x: int
class Output(BaseModel):
    f: v1
""",
    {"f": {"x": 1}},
)
ODD = {
    "recursive": RECURSIVE, "itself": ITSELF, "tagged": TAGGED, "words": WORDS, "generic": GENERIC,
    "a": DEFINITION_CALLED_V1, "a_v1": RECURSIVE, "Receipt": ITSELF, "receipt_v1": TAGGED, "class": ITSELF, "indexed": ITSELF,
    "asked": ITSELF, "a b": ITSELF, "ünï": ITSELF, "日本": ITSELF, 'a"<b>': ITSELF, "1st": ITSELF, "new\nline": ITSELF,
}  # fmt: skip
HEAD = """
from __future__ import annotations
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar
from pydantic import BaseModel, ConfigDict, Field
"""


def write(folder: Path, name: str, code: str, version: str = "v1") -> None:
    made = folder / name / version
    made.mkdir(parents=True)
    for file in (BUILT_IN / "receipt" / "v3").iterdir():
        if file.is_file():
            shutil.copy(file, made)
    (made / "output.py").write_text(HEAD + code)


def describing(folder: Path) -> Any:
    """The application's OpenAPI, made when it is called."""
    services = Services(
        settings=Settings(),
        database=Database(create_engine("postgresql+psycopg://")),
        registry=Registry((BUILT_IN, folder)),
        publish=lambda _: None,
        owner="api",
    )
    return make_app(services, host="127.0.0.1", fleet=Fleet(start=lambda: None, check=lambda: None)).openapi


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("prompts")
    for name, (code, _) in ODD.items():
        write(made, name, code)
    return made


@pytest.fixture(scope="module")
def openapi(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = describing(folder)()
    return found


def fits(openapi: dict[str, Any], name: str, value: object) -> bool:
    schema = {"$ref": COMPONENTS + name, "components": openapi["components"]}
    return Draft202012Validator(schema).is_valid(value)


def job(prompt: str | None, version: str | None, value: object, **more: object) -> dict[str, Any]:
    return {
        **JOB_EXAMPLE,
        "warnings": [],
        "progress": None,
        "prompt": prompt,
        "version": version,
        "value": value,
        **more,
    }


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        if isinstance(part.get("discriminator"), dict):
            yield from part["discriminator"].get("mapping", {}).values()
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from references(each)


def test_whatever_prompts_are_called_and_ask_for_references_lead_somewhere_and_all_can_be_written(
    openapi: dict[str, Any],
) -> None:
    schemas = openapi["components"]["schemas"]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in schemas)
    assert len({name.casefold() for name in schemas}) == len(schemas)
    found = set(references(openapi))
    assert {each for each in found if each.removeprefix(COMPONENTS) not in schemas} == set()
    json.dumps(openapi, allow_nan=False).encode()
    assert set(openapi["components"]["schemas"]["Answers"]["properties"]) >= set(ODD)


@pytest.mark.parametrize("prompt", ODD)
def test_a_job_has_the_answer_of_its_prompt(openapi: dict[str, Any], prompt: str) -> None:
    value = ODD[prompt][1]
    details: dict[str, object] = {"stages": [], "attempts": [], "context": None}
    assert fits(openapi, "JobShown", job(prompt, "v1", value))
    assert fits(openapi, "JobShown", job(prompt, "v1", None))
    assert fits(openapi, "JobDetails", job(prompt, "v1", value, **details))
    assert not fits(openapi, "JobDetails", job(prompt, "v1", value))
    assert not fits(openapi, "JobShown", job(prompt, "v1", {"company": "of another prompt"}))
    assert not fits(openapi, "JobShown", job("receipt", "v3", value))


def test_a_job_of_each_version_that_ships_is_told_by_prompt_and_version(openapi: dict[str, Any]) -> None:
    schemas, registry = openapi["components"]["schemas"], Registry()
    asked = schemas["Job_asked"]
    assert asked["discriminator"]["propertyName"] == "prompt"
    for name in registry.names():
        for version in registry.versions(name):
            example = registry.get(name, version).example
            assert fits(openapi, "JobShown", job(name, version, example)), (name, version)
            assert not fits(openapi, "JobShown", job(name, "v99", example))
        assert asked["discriminator"]["mapping"][name].removeprefix(COMPONENTS) in schemas
        assert fits(openapi, "JobShown", job(name, None, None)), "one that has not begun"
        assert fits(openapi, "JobDetails", job(name, None, None, stages=[], attempts=[], context=None)), name
    assert not fits(openapi, "JobShown", job("no prompt", None, None))
    assert fits(openapi, "JobShown", job(None, None, None)), "what is indexed"
    assert fits(openapi, "JobShown", {**JOB_EXAMPLE, "warnings": [], "progress": None})


def test_fields_that_are_named_are_typed(openapi: dict[str, Any]) -> None:
    """Where an object is said to have any others, generated clients know the type of none."""
    assert all(
        schema.get("additionalProperties") is not True for schema in openapi["components"]["schemas"].values()
    )


def test_a_prompt_that_is_added_appears(tmp_path: Path) -> None:
    openapi = describing(tmp_path)
    assert not fits(openapi(), "JobShown", job("late", "v1", ITSELF[1]))
    write(tmp_path, "late", ITSELF[0])
    assert fits(openapi(), "JobShown", job("late", "v1", ITSELF[1]))
    assert "late" in openapi()["components"]["schemas"]["JobWanted"]["properties"]["prompt"]["enum"]
