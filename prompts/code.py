"""A version's ``output.py``: loaded from the text that was read, so that what runs is what was hashed."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, cast, get_args

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

from docmill.errors import Misconfigured
from docmill.parsing.checking import Checker
from prompts.mistakes import Broken, Mistake, meant, of_code

__all__ = ["kept_schema_of", "line_of_field", "load_output", "models_below", "schema_of"]

UNTELLABLE = (PydanticUserError, TypeError, ValueError, KeyError, NameError, RecursionError)
NO_WORDS = (
    "{name} has a type that JSON Schema cannot say: "
    "take str, int, Decimal, bool, date, a Literal, a list or a BaseModel"
)


def load_output(file: Path, code: str, *, module_name: str) -> type[BaseModel]:
    """Loads the class ``Output``. Raises Broken, whatever the module raises: it is the user's own."""
    module = ModuleType(module_name)
    module.__file__ = str(file)
    sys.modules[module_name] = module  # Pydantic looks annotations up there
    try:
        exec(compile(code, str(file), "exec"), module.__dict__)  # noqa: S102 - the operator's own file
    except (Exception, SystemExit) as error:
        raise Broken([of_code(file, code, error)]) from error
    return _output_of(file, module)


def _output_of(file: Path, module: ModuleType) -> type[BaseModel]:
    output = getattr(module, "Output", None)
    if _is_model(output):
        return cast("type[BaseModel]", output)
    models = [
        name
        for name, each in vars(module).items()
        if isinstance(each, type) and each.__module__ == module.__name__
    ]
    if output is not None:
        told = "Output must be a Pydantic model: write class Output(BaseModel), with BaseModel from pydantic"
    else:
        remedy = meant("Output", models, otherwise="write class Output(BaseModel) with a field a line")
        told = f"it must define a Pydantic model named Output: {remedy}"
    raise Broken([Mistake(file=file, told=told)])


def schema_of(file: Path, code: str, output: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of the answer. Raises Broken where it has none, or one that no reply can be held against."""
    try:
        schema: dict[str, Any] = output.model_json_schema()
        Checker(schema)
    except Misconfigured as error:
        raise Broken([Mistake(file=file, told=f"Output: {error}")]) from error
    except UNTELLABLE as error:
        raise Broken(_untold(file, code, output) or [of_code(file, code, error)]) from error
    return schema


class _Kept(GenerateJsonSchema):
    """As answers are kept: their decimals are numbers."""

    def decimal_schema(self, schema: Any) -> dict[str, Any]:  # noqa: ARG002 - Pydantic's shape
        return {"type": "number"}


def kept_schema_of(file: Path, code: str, output: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of an answer as it is kept, which may be another than what a model is asked for.

    Where a part of it has none, it is that what is asked. Raises Broken where that has none either.
    """
    try:
        return output.model_json_schema(mode="serialization", schema_generator=_Kept)
    except UNTELLABLE:
        return schema_of(file, code, output)


def _untold(file: Path, code: str, output: type[BaseModel]) -> list[Mistake]:
    """The fields whose types JSON Schema has no words for."""
    return [
        Mistake(file=file, line=line_of_field(code, model.__name__, name), told=NO_WORDS.format(name=name))
        for model in models_below(output)
        for name, field in model.model_fields.items()
        if not any(_is_model(each) for each in _types_in(field.annotation)) and not _tellable(field.annotation)
    ]


def _tellable(annotation: Any) -> bool:
    try:
        TypeAdapter(annotation).json_schema()
    except UNTELLABLE as error:
        # One that is not defined yet is told by what the whole says.
        return "not fully defined" in str(error)
    return True


def line_of_field(code: str, model: str, name: str) -> int | None:
    """Returns where a class declares a field."""
    classes = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef) and node.name == model)
    declared = (each for found in classes for each in found.body if isinstance(each, ast.AnnAssign))
    return next((each.lineno for each in declared if getattr(each.target, "id", None) == name), None)


def models_below(output: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and those that its fields are made of, each once."""
    found, waiting = [output], [output]
    while waiting:
        model = waiting.pop()
        model.model_rebuild(raise_errors=False)  # until then one that stands below it is a name alone
        for field in model.model_fields.values():
            for inner in _types_in(field.annotation):
                if _is_model(inner) and inner not in found:
                    found.append(inner)
                    waiting.append(inner)
    return found


def _types_in(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _types_in(inner)


def _is_model(each: Any) -> bool:
    return isinstance(each, type) and issubclass(each, BaseModel)
