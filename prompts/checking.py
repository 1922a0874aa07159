"""Every mistake in a version's files that can be found without a model: all of them, and not only the first.

What keeps a version from loading is told by what loads it (:mod:`prompts.version`); here is besides what a model,
or a provider, would fall over.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docmill.errors import DocmillError, PromptBroken, ReplyRejected
from docmill.llm.tokens import Counter
from docmill.parsing import correction_problems, parse
from docmill.parsing.schema import kinds, labels, resolved
from docmill.settings import Models
from prompts.code import line_of_field, load_output, models_below, schema_of
from prompts.mistakes import Broken, Mistake, line_of_key, of_code
from prompts.readiness import problems
from prompts.registry import Registry
from prompts.templates import GIVEN, TEMPLATE_FILES, mistakes_in
from prompts.version import Config, Excerpt, PromptVersion, read_config, read_files

__all__ = ["mistakes_of", "mistakes_of_all", "mistakes_of_version"]

COUNTER = Counter(encoding="o200k_base")
DEEPEST = 20
"""Forms within each other that are looked at."""
ROOM = 4
"""An answer's limit should hold so many times the least answer."""


def mistakes_of_all(registry: Registry, models: Models | None = None) -> list[str]:
    """Finds every mistake in every prompt, and in where they lie."""
    of_prompts = (told for name in registry.names() for told in mistakes_of(registry, name, models))
    return [*map(str, registry.misplaced()), *of_prompts]


def mistakes_of(registry: Registry, name: str, models: Models | None = None) -> list[str]:
    """Finds every mistake in the versions of one prompt. Raises PromptUnknown."""
    try:
        folder = registry.folder_of(name)
    except PromptBroken as error:
        return [str(error)]
    versions = registry.versions(name)
    return [str(told) for version in versions for told in _of_version(name, version, folder / version, models)]


def mistakes_of_version(prompt: PromptVersion, models: Models | None = None) -> list[str]:
    """Finds every mistake in a version that loads."""
    return [str(told) for told in _of_version(prompt.name, prompt.version, prompt.folder, models)]


def _of_version(name: str, version: str, folder: Path, models: Models | None) -> list[Mistake]:
    """All that is wrong with a version; with ``models`` also what keeps them from answering it."""
    files, found = read_files(folder)
    config: Config | None = None
    try:
        config = read_config(folder / "prompt.toml", files["prompt.toml"]) if "prompt.toml" in files else None
    except Broken as error:
        found += error.mistakes
    found += _of_templates(folder, files, config or Config(description="", ladder=("",)))
    if "output.py" in files:
        found += _of_code(folder / "output.py", files["output.py"])
    if config is not None:
        found += _of_params(folder / "prompt.toml", files, config)
    return found or _of_whole(PromptVersion(name, version, folder), models)


def _of_templates(folder: Path, files: Mapping[str, str], config: Config) -> list[Mistake]:
    collection = config.retrieval.collection is not None
    return [
        mistake
        for file in TEMPLATE_FILES
        if file in files
        for mistake in mistakes_in(folder / file, files[file], config.params, collection=collection)
    ]


def _of_params(file: Path, files: Mapping[str, str], config: Config) -> Iterator[Mistake]:
    text = "\n".join(files.get(name, "") for name in TEMPLATE_FILES)
    asked = {config.retrieval.collection, config.retrieval.question, "question"}
    for name in config.params:
        line = line_of_key(files["prompt.toml"], ("params", name))
        if any(name in given for given in GIVEN.values()):
            told = f"params.{name}: docmill gives {name} itself: call the parameter something else"
        elif not name.isidentifier():
            told = f"params.{name}: no template can say that name: take letters, digits and _"
        elif name not in asked and name not in text:
            told = f"params.{name}: no template uses it: write {{{{ {name} }}}} into user.j2, or take it out"
        else:
            continue
        yield Mistake(file=file, line=line, told=told)


# --- output.py ---


def _of_code(file: Path, code: str) -> list[Mistake]:
    """What Python and Pydantic say nothing of until an answer comes, or say darkly; else why it does not load."""
    try:
        tree = ast.parse(code)
        found = [*_without_return(file, tree), *_not_called(file, tree), *_private(file, tree)]
        if not found:
            schema_of(file, code, load_output(file, code, module_name="docmill_prompt_checked"))
    except SyntaxError as error:
        return [of_code(file, code, error)]
    except Broken as error:
        return list(error.mistakes)
    return found


def _without_return(file: Path, tree: ast.Module) -> Iterator[Mistake]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or not any(map(_validates, node.decorator_list)):
            continue
        if not any(isinstance(each, ast.Return) and each.value is not None for each in ast.walk(node)):
            given = "self" if node.args.args and node.args.args[0].arg == "self" else "the value"
            told = f"the check {node.name} returns nothing, and the answer is lost: end it with return {given}"
            yield Mistake(file=file, line=node.lineno, told=told)


def _validates(decorator: ast.expr) -> bool:
    named = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
    return name in ("field_validator", "model_validator")


def _not_called(file: Path, tree: ast.Module) -> Iterator[Mistake]:
    """``Annotated[str, Grounded]`` demands nothing: it is the class, and no demand."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Subscript) or getattr(node.value, "id", "") != "Annotated":
            continue
        for each in node.slice.elts[1:] if isinstance(node.slice, ast.Tuple) else ():
            if isinstance(each, ast.Name) and each.id == "Grounded":
                yield Mistake(file=file, line=each.lineno, told="Grounded demands nothing so: write Grounded()")


def _private(file: Path, tree: ast.Module) -> Iterator[Mistake]:
    classes = (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.bases)
    for field in (each for found in classes for each in found.body if isinstance(each, ast.AnnAssign)):
        name = getattr(field.target, "id", "")
        if name.startswith("_"):
            told = f"{name} is no field, because it begins with _: call it {name.strip('_') or 'something else'}"
            yield Mistake(file=file, line=field.lineno, told=told)


# --- what loads ---


def _of_whole(prompt: PromptVersion, models: Models | None) -> list[Mistake]:
    """Of a version whose files are each well by themselves."""
    try:
        _ = prompt.schema
        _fill_in(prompt)
    except Broken as error:
        return list(error.mistakes)
    except DocmillError as error:
        return [Mistake(file=prompt.folder, told=str(error))]
    found = [*_of_schema(prompt), *_of_example(prompt)]
    return found or [*_of_limit(prompt), *_of_models(prompt, models)]


def _fill_in(prompt: PromptVersion) -> None:
    params = {name: param.default or "x" for name, param in prompt.config.params.items()}
    messages = prompt.render(Excerpt(passages=("x",), found=("x",)), params)
    prompt.render_correction(messages, "{}", ["x"])


def _of_schema(prompt: PromptVersion) -> Iterator[Mistake]:
    file, code = prompt.folder / "output.py", prompt.files["output.py"]
    if not prompt.output_model.model_fields:
        yield Mistake(file=file, told="Output has no field: write one a line, as total: Decimal")
    for model in models_below(prompt.output_model):
        root = model.model_json_schema()
        told = root.get("$defs", {}).get(model.__name__) or root
        endless = _endless(root) if "$ref" in root else frozenset()
        for name, field in model.model_fields.items():
            part = told.get("properties", {}).get(field.alias or name, {})
            why = _untyped(part, root)
            if field.is_required() and not endless.isdisjoint(_demanded(part)):
                why = f"demands one more {model.__name__} in each, without end: let it be None, or an empty list"
            if why:
                line = line_of_field(code, model.__name__, name)
                yield Mistake(file=file, line=line, told=f"{name} {why}")


def _endless(root: Mapping[str, Any]) -> frozenset[str]:
    """The definitions that demand themselves in the end, by their references: no answer holds one."""
    left = {f"#/$defs/{name}": {*_demanded(form)} for name, form in root.get("$defs", {}).items()}
    while ending := [reference for reference, demanded in left.items() if left.keys().isdisjoint(demanded)]:
        for reference in ending:
            del left[reference]
    return frozenset(left)


def _demanded(form: Any) -> Iterator[str]:
    """The references that a value of this form cannot do without."""
    if not isinstance(form, Mapping):
        return
    if "$ref" in form:
        yield form["$ref"]
    elif form.get("minItems"):
        yield from _demanded(form.get("items"))
    for name in form.get("required", ()):
        yield from _demanded(form.get("properties", {}).get(name))


def _untyped(part: Any, root: Mapping[str, Any], depth: int = 0) -> str | None:
    """Why a model cannot know what a field should be; None where it can."""
    if not isinstance(part, Mapping) or depth > DEEPEST or "$ref" in part:
        return None
    found = kinds(part, root)
    if not found:
        return "says no type: take str, int, Decimal, bool, date, a Literal, a list of one or a BaseModel"
    if "object" in found and "properties" not in part and "anyOf" not in part:
        return "is an object of any fields, which providers refuse: name its fields in a BaseModel"
    if part.get("type") == "array" and not part.get("prefixItems"):
        return _untyped(part.get("items", {}), root, depth + 1)
    choices = (_untyped(each, root, depth + 1) for each in part.get("anyOf", ()))
    return next(filter(None, choices), None)


def _of_example(prompt: PromptVersion) -> Iterator[Mistake]:
    if prompt.example is None:
        return
    file = prompt.folder / "output.py"
    try:
        parse(json.dumps(prompt.example), prompt.output_model)
    except (TypeError, ValueError) as error:
        yield Mistake(file=file, told=f"the example is no JSON ({error}): take texts, numbers, lists and dicts")
    except ReplyRejected as error:
        why = "; ".join(correction_problems(error))
        yield Mistake(file=file, told=f"the example is no right answer ({why}): mend it in json_schema_extra")


def _of_limit(prompt: PromptVersion) -> Iterator[Mistake]:
    limit = prompt.config.limits.max_output_tokens
    least = prompt.example if prompt.example is not None else _least(prompt.schema, prompt.schema, {})
    needed = COUNTER.count(json.dumps(least, ensure_ascii=False))
    if limit < needed:
        what = "its example" if prompt.example is not None else "an answer with every field"
        told = (
            f"limits.max_output_tokens = {limit} cuts answers off: {what} takes {needed} tokens: "
            f"put {max(256, needed * ROOM)} there"
        )
        text = prompt.files["prompt.toml"]
        line = line_of_key(text, ("limits", "max_output_tokens"))
        yield Mistake(file=prompt.folder / "prompt.toml", line=line, told=told)


def _least(schema: Any, root: Mapping[str, Any], known: dict[str, Any], depth: int = 0) -> Any:
    """A short value that has every field of the schema.

    ``known`` has those that references lead to: none is looked at twice, and within itself it is None.
    """
    if not isinstance(schema, Mapping) or depth > DEEPEST:
        return None
    if "$ref" in schema:
        reference = schema["$ref"]
        if reference not in known:
            known[reference] = None
            known[reference] = _least(resolved(reference, root), root, known, depth + 1)
        return known[reference]
    allowed = kinds(schema, root)
    if "null" in allowed:
        return None
    if "object" in allowed:
        members = schema.get("properties", {})
        return {name: _least(member, root, known, depth + 1) for name, member in members.items()}
    if "array" in allowed:
        return [_least(schema.get("items"), root, known, depth + 1)] * min(schema.get("minItems", 0), 100)
    return next(iter(labels(schema)), 0 if allowed & {"number", "integer"} else "")


def _of_models(prompt: PromptVersion, models: Models | None) -> Iterator[Mistake]:
    if models is None:
        return
    line = line_of_key(prompt.files["prompt.toml"], ("ladder",))
    for told in problems(prompt, models, with_keys=False):
        yield Mistake(file=prompt.folder / "prompt.toml", line=line, told=told.removeprefix(f"prompt {prompt}: "))
