"""Writes the pages beside this file out of the code: ``python docs/reference/generate.py``.

A test holds them current.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from sqlalchemy import create_engine

from cli.commands import app
from db.database import Database
from docmill.settings import environment, load_settings
from prompts import Registry
from tasks.services import Services
from web.app import make_app
from web.fleet import Fleet

FOLDER = Path(__file__).parent


def main() -> None:
    """Writes all pages."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def pages() -> Mapping[str, str]:
    """Returns each page by its file's name."""
    return {
        "settings.md": "\n".join(_settings()) + "\n",
        "commands.md": "\n".join(_commands()) + "\n",
        "http.md": "\n".join(_http()) + "\n",
    }


def _settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "Each is an environment variable; an empty one counts as not set. Secrets stand there alone.\n"
    yield "| variable | default | meaning |\n| --- | --- | --- |"
    told = _docstrings(environment.Settings)
    for name, field in environment.Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`" if field.default != "" else ""
        yield f"| `DOCMILL_{name.upper()}` | {default} | {told.get(name, '')} |"


def _docstrings(owner: type) -> dict[str, str]:
    """The text below each field of a class, which Python itself forgets."""
    body = ast.parse(inspect.getsource(owner)).body[0]
    found = {}
    previous: ast.stmt | None = None
    for each in body.body if isinstance(body, ast.ClassDef) else []:
        if (
            isinstance(previous, ast.AnnAssign)
            and isinstance(previous.target, ast.Name)
            and isinstance(each, ast.Expr)
        ):
            found[previous.target.id] = " ".join(str(ast.literal_eval(each.value)).split())
        previous = each
    return found


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "Each takes `--help`; those that print take `--json`.\n"
    yield from _command(typer.main.get_command(app), "docmill")


def _command(command: Any, name: str) -> Iterator[str]:
    inner = getattr(command, "commands", {})
    for each in inner.values():
        if not each.hidden:
            yield from _command(each, f"{name} {each.name}")
    if inner and not getattr(command, "invoke_without_command", False):
        return
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    yield f"## {' '.join([name, *(_shown(each) for each in arguments)])}\n"
    yield " ".join((command.help or "").split()) + "\n"
    general = ("help", "install_completion", "show_completion")
    told = [each for each in options if each.name not in general]
    if told:
        yield "| option | meaning |\n| --- | --- |"
        for each in told:
            words = " ".join((getattr(each, "help", None) or "").split()).replace("|", "\\|")
            yield f"| `{', '.join((*each.opts, *each.secondary_opts))}` | {words} |"
        yield ""


def _shown(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper()
    many = "…" if argument.nargs == -1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _http() -> Iterator[str]:
    yield "# HTTP\n"
    yield "What goes in and comes out stands at `/docs` of a running stack, and in `/openapi.json`.\n"
    yield "| method | path | does |\n| --- | --- | --- |"
    # An engine connects when it is first asked, and nobody asks it here.
    services = Services(
        settings=load_settings(),
        database=Database(create_engine("postgresql+psycopg://")),
        registry=Registry(),
        publish=lambda _: None,
        owner="reference",
    )
    fleet = Fleet(start=lambda: None, check=lambda: None)
    described = make_app(services, host="127.0.0.1", fleet=fleet).openapi()
    for path, methods in described["paths"].items():
        for method, route in methods.items():
            yield f"| {method.upper()} | `{path}` | {' '.join(str(route.get('summary', '')).split())} |"


if __name__ == "__main__":
    main()
