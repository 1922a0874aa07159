"""``docmill doctor``: what works here, and what to do about what does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from cli.checks.models import examine_ladders, examine_models, examine_prompts, examine_schemas
from cli.checks.pictures import examine_pictures
from cli.checks.reading import examine_ocr, examine_reading
from cli.checks.servers import (
    examine_broker,
    examine_cache,
    examine_database,
    examine_schedules,
    examine_upkeep,
    examine_work,
    examine_workers,
)
from cli.console import AsJson, Data, print_json, print_table
from docmill.errors import DocmillError
from docmill.redaction import redacted

if TYPE_CHECKING:
    from docmill.settings import Settings

__all__ = ["doctor"]


def doctor(as_json: AsJson = False, data: Data = None) -> None:
    """Check settings, servers, workers, prompts and provider. Exit code 1 says that something is wrong."""
    found = [(name, problem, redacted(told)) for name, problem, told in _examine(data)]
    if as_json:
        for name, problem, told in found:
            print_json({"check": name, "ok": not problem, "told": told})
    else:
        rows = [(name, "wrong" if problem else "fine", told) for name, problem, told in found]
        print_table("docmill doctor", ("check", "is", "told"), rows)
    raise typer.Exit(1 if any(problem for _, problem, _ in found) else 0)


def _examine(data: Data) -> Iterator[tuple[str, bool, str]]:
    """(check, whether it found a problem, what it has to tell)."""
    from workers.stack.addresses import settings_of

    yield "python", False, sys.version.split()[0]
    try:
        settings = settings_of(data)
    except DocmillError as error:
        yield "settings", True, str(error)
        return
    checks: dict[str, Callable[[Settings], str]] = {
        "database": examine_database,
        "broker": examine_broker,
        "cache": examine_cache,
        "workers": examine_workers,
        "upkeep": examine_upkeep,
        "reading": examine_reading,
        "ocr": examine_ocr,
        "schedules": examine_schedules,
        "prompts": examine_prompts,
        "ladders": examine_ladders,
        "models": examine_models,
        "schemas": examine_schemas,
        "eyes": examine_pictures,
        "work": examine_work,
    }
    for name, check in checks.items():
        try:
            yield name, False, check(settings)
        except DocmillError as error:
            yield name, True, str(error)
