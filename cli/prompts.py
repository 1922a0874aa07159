"""``docmill prompts``: which there are, what they say, what is wrong with them, and a new one."""

from __future__ import annotations

import difflib
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, print_json
from cli.gate import gate
from docmill.errors import PromptError
from docmill.visible import visible

if TYPE_CHECKING:
    from prompts import PromptVersion, Registry

__all__ = ["prompts"]

prompts = typer.Typer(help="The prompts that ship, and those of your own.", no_args_is_help=True)
prompts.command()(gate)

Folder = Annotated[list[Path], typer.Option("--folder", help="A folder of prompts of your own; may be repeated.")]


@prompts.command("list")
def list_prompts(folder: Folder = [], as_json: AsJson = False) -> None:
    """Every prompt, with the version that a submit takes by default."""
    registry = _registry(folder)
    for name in registry.names():
        try:
            fields = _fields(registry.get(name))
        except PromptError as error:
            fields = {"name": name, "version": None, "error": str(error)}
        told = fields.get("description") or f"is of no use: {fields.get('error')}"
        version = fields["version"] or "-"
        typer.echo(json.dumps(fields) if as_json else f"{visible(name):<16}{version:<5}{visible(told)}")


@prompts.command()
def show(name: str, version: str | None = None, folder: Folder = [], as_json: AsJson = False) -> None:
    """What a prompt says to the model, and the shape of its answer."""
    from prompts import Excerpt

    prompt = _registry(folder).get(name, version)
    if as_json:
        typer.echo(json.dumps({**_fields(prompt), "schema": prompt.schema}))
        return
    params = {key: param.default or f"<{key}>" for key, param in prompt.config.params.items()}
    for message in prompt.render(Excerpt(passages=("<the document>",)), params):
        typer.echo(f"[{message.role}]\n{message.content}\n")


@prompts.command()
def diff(name: str, old: str, new: str, folder: Folder = []) -> None:
    """What changed between two versions, file by file."""
    registry = _registry(folder)
    before, after = registry.get(name, old), registry.get(name, new)
    for file, text in before.files.items():
        lines = (text.splitlines(keepends=True), after.files[file].splitlines(keepends=True))
        for line in difflib.unified_diff(*lines, f"{before}/{file}", f"{after}/{file}"):
            typer.echo(line.rstrip("\n"))


@prompts.command()
def check(
    name: Annotated[str | None, typer.Argument(help="One prompt; all of them without it.")] = None,
    folder: Folder = [],
    as_json: AsJson = False,
) -> None:
    """Every mistake in a prompt's files, one a line: file, line, what is wrong, what to do. Exits 1 for any."""
    from docmill.settings import load_settings
    from prompts.checking import mistakes_of, mistakes_of_all

    registry, models = _registry(folder), load_settings().models
    found = mistakes_of_all(registry, models) if name is None else mistakes_of(registry, name, models)
    for told in found:
        print_json({"mistake": told}) if as_json else typer.echo(visible(told))
    if found:
        raise typer.Exit(1)
    if not as_json:
        checked = registry.names() if name is None else [f"{name}/{each}" for each in registry.versions(name)]
        typer.echo(f"no mistake found in {', '.join(checked)}")


@prompts.command()
def new(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, - and _.")],
    like: Annotated[str | None, typer.Option("--from", help="A prompt to begin with, or NAME/VERSION.")] = None,
    schema: Annotated[Path | None, typer.Option(help="A file with the JSON Schema of the answer.")] = None,
    example: Annotated[Path | None, typer.Option(help="A file with an answer as it should be, in JSON.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to put it: the first of DOCMILL_PROMPTS.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a prompt of your own: its first version, or the next one."""
    from docmill.errors import Misconfigured
    from docmill.settings import load_settings
    from prompts.starting import Wanted, start

    if sum(each is not None for each in (like, schema, example)) > 1:
        raise Misconfigured("--from, --schema and --example exclude each other: name one")
    folders = load_settings().prompt_folders
    home = folder or (folders[0] if folders else Path("mine"))
    home.mkdir(parents=True, exist_ok=True)
    made = start(
        _registry([] if home in folders else [home]),
        home,
        Wanted(name=name, like=like, schema=schema, example=example),
    )
    if as_json:
        print_json({"name": name, "version": made.name, "folder": str(made)})
        return
    typer.echo(f"{made} is made. What is asked stands in system.j2, the answer and its checks in output.py.")
    if home not in folders:
        typer.echo(f"Let docmill find it: export DOCMILL_PROMPTS={shlex.quote(str(home.absolute()))}")
    typer.echo(f"Next: docmill prompts check {name}; docmill try {name} FILE")


def _registry(folders: list[Path]) -> Registry:
    from docmill.settings import load_settings
    from prompts import Registry
    from prompts.registry import BUILT_IN

    return Registry([BUILT_IN, *load_settings().prompt_folders, *folders])


def _fields(prompt: PromptVersion) -> dict[str, Any]:
    return {
        "name": prompt.name,
        "version": prompt.version,
        "description": prompt.config.description,
        "ladder": list(prompt.config.ladder),
        "content_hash": prompt.content_hash.hex(),
    }
