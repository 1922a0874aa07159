"""The three templates of a version: what stands in each, and what is wrong with them.

A template sees nothing but what it is given, and reads no file. What it is given is declared here, once: for
filling it in, and for telling whoever mistyped a name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError, nodes
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prompts.mistakes import Mistake, meant, of_template

__all__ = ["TEMPLATES", "TEMPLATE_FILES", "mistakes_in"]

# No autoescape: the output is read by a model and not by a browser, and an escaped document is a changed one.
TEMPLATES = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)

GIVEN: Mapping[str, Sequence[str]] = {
    "system.j2": ("answer_format",),
    "user.j2": ("document", "passages"),
    "correction.j2": ("problems",),
}
"""What docmill gives to each template, beside the parameters."""
WHY = {
    "answer_format": "without it the model is not told which fields to answer with",
    "document": "without it the model is shown no document",
    "passages": "without it the model is not shown what was found in the collection",
    "problems": "without it the model is not told what to correct",
}
TEMPLATE_FILES = tuple(GIVEN)


def known_names(file: str, params: Collection[str], *, collection: bool) -> list[str]:
    """The names that a template may use."""
    given = [name for name in GIVEN[file] if name != "passages" or collection]
    return [*given, *(() if file == "correction.j2" else params)]


def mistakes_in(file: Path, text: str, params: Collection[str], *, collection: bool) -> list[Mistake]:
    """Returns what keeps a template from being filled in, and what it has to show and does not."""
    try:
        tree = TEMPLATES.parse(text)
        TEMPLATES.compile(tree, filename=file.name)  # a filter that there is not is found only here
    except TemplateError as error:
        return [of_template(file, error)]
    names = known_names(file.name, params, collection=collection)
    return [*_of_names(file, tree, names), *_of_files(file, tree), *_not_shown(file, tree, names)]


def _of_names(file: Path, tree: nodes.Template, names: Sequence[str]) -> Iterator[Mistake]:
    unknown = find_undeclared_variables(tree) - set(names)
    for name in sorted(unknown):
        told = f"{{{{ {name} }}}} is given to no {file.name}: {_remedy(file.name, name, names)}"
        yield Mistake(file=file, line=_line_of(tree, name), told=told)


def _remedy(file: str, name: str, names: Sequence[str]) -> str:
    home = next((other for other, given in GIVEN.items() if name in given), None)
    if name == "passages" and home == file:
        return "name the parameter with the collection's name, as collection under [retrieval] in prompt.toml"
    if home is not None:
        return f"it belongs into {home}"
    if file == "correction.j2":
        return meant(name, names, otherwise="it is given problems, and nothing else")
    return meant(name, names, otherwise=f"declare it, as [params.{name}] with a description, in prompt.toml")


def _of_files(file: Path, tree: nodes.Template) -> Iterator[Mistake]:
    others = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
    for found in tree.find_all(others):
        told = "a template reads no other file: write here what should stand here"
        yield Mistake(file=file, line=found.lineno, told=told)


def _not_shown(file: Path, tree: nodes.Template, names: Sequence[str]) -> Iterator[Mistake]:
    used = find_undeclared_variables(tree)
    for name in GIVEN[file.name]:
        mistyped = any(meant(other, [name], otherwise="-") != "-" for other in used - set(names))
        if name in names and name not in used and not mistyped:
            yield Mistake(file=file, told=f"{{{{ {name} }}}} is missing: {WHY[name]}")


def _line_of(tree: nodes.Template, name: str) -> int | None:
    return next((found.lineno for found in tree.find_all(nodes.Name) if found.name == name), None)
