"""``docmill prompts``: which there are, and what they say."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from prompts import PromptVersion, Registry

__all__ = ["prompts"]

prompts = typer.Typer(help="The prompts that this checkout has.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
Folder = Annotated[list[Path], typer.Option("--folder", help="A folder of prompts of your own; may be repeated.")]


@prompts.command("list")
def list_prompts(folder: Folder = [], as_json: AsJson = False) -> None:
    """Every prompt, with the version that a submit takes by default."""
    registry = _registry(folder)
    for name in registry.names():
        prompt = registry.get(name)
        fields = _fields(prompt)
        typer.echo(json.dumps(fields) if as_json else f"{name:<16}{prompt.version:<5}{prompt.config.description}")


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
