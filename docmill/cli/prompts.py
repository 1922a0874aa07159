"""``docmill prompts``: which there are, and what they say."""

from __future__ import annotations

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


def _registry(folders: list[Path]) -> Registry:
    from prompts import Registry
    from prompts.registry import BUILT_IN

    return Registry([BUILT_IN, *folders])


def _fields(prompt: PromptVersion) -> dict[str, Any]:
    return {
        "name": prompt.name,
        "version": prompt.version,
        "description": prompt.config.description,
        "ladder": list(prompt.config.ladder),
        "content_hash": prompt.content_hash.hex(),
    }
