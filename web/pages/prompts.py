"""Prompts: what they ask, and how good the answers are, version by version."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse

import db.costs
from db import quality
from db.costs import CostRow
from db.quality import VersionQuality
from docmill.errors import PromptError
from prompts import PromptVersion, Registry
from web import chart
from web.access import Asking, Database
from web.pages.rendering import render
from web.problems import Problem

__all__ = ["router"]

router = APIRouter(include_in_schema=False)

DAYS = 28
LONGEST_DIFF = 2_000
"""Lines of a file, of both versions, that are compared: more are shown as they are, without it."""
Name = Annotated[str, Path(max_length=200)]
Version = Annotated[str | None, Query(max_length=20)]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A version with its figures; None where nothing is known of it."""

    prompt: str
    version: str
    quality: VersionQuality | None
    cost: CostRow | None


@router.get("/prompts", response_class=HTMLResponse)
def show_list(request: Request, database: Database, asking: Asking) -> HTMLResponse:
    """Every prompt that there is, or that jobs were submitted with, with the figures of its versions."""
    asking.check("read")
    registry: Registry = request.app.state.registry
    timezone: str = request.app.state.settings.timezone
    since = _since()
    with database.work() as connection:
        found = quality.versions(connection, asking.tenant, since)
        paid = _paid(
            db.costs.costs(
                connection, ("prompt", "version"), timezone=timezone, tenant=asking.tenant, since=since.date()
            )
        )
    known = {name: _told_of(registry, name) for name in registry.names()}
    rows = {(each.prompt, each.version): each for each in found}
    keys = sorted({*rows, *((name, told["version"]) for name, told in known.items())})
    content = {
        "rows": [_row(name, version, rows.get((name, version)), paid) for name, version in keys],
        "known": known,
        "days": DAYS,
        "most": quality.MOST,
    }
    return render(request, "prompts.html", content)


@router.get("/prompts/{name:path}", response_class=HTMLResponse)
def show(
    name: Name,
    request: Request,
    database: Database,
    asking: Asking,
    version: Version = None,
    old: Version = None,
) -> HTMLResponse:
    """One prompt: figures, failing checks, corrected fields, cases; its text, or what changed since ``old``."""
    asking.check("read")
    registry: Registry = request.app.state.registry
    timezone: str = request.app.state.settings.timezone
    since = _since()
    with database.work() as connection:
        found = quality.quality_of(connection, asking.tenant, name, since, timezone=timezone)
        costs = db.costs.costs(
            connection,
            ("prompt", "version"),
            timezone=timezone,
            tenant=asking.tenant,
            since=since.date(),
            only={"prompt": name},
        )
    versions = _versions(registry, name)
    if not versions and not found.versions and not costs:
        raise Problem(404, f"there is no prompt {name[:100]!r}")
    shown, broken = _shown(registry, name, version, versions)
    before = None if old is None else _shown(registry, name, old, versions)[0]
    paid, rows = _paid(costs), {each.version: each for each in found.versions}
    names = [*versions, *(each for each in rows if each not in versions)]
    content = {
        "name": name,
        "rows": [_row(name, each, rows.get(each), paid) for each in names],
        "found": found,
        "trend": _trend(found.days),
        "versions": versions,
        "shown": shown,
        "broken": broken,
        "before": before,
        "files": [] if shown is None else _files(shown, before),
        "days": DAYS,
        "most": quality.MOST,
    }
    return render(request, "prompt.html", content)


def _since() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=DAYS)


def _paid(rows: Sequence[CostRow]) -> dict[tuple[str, str], CostRow]:
    return {(row.group["prompt"], row.group["version"]): row for row in rows}


def _row(name: str, version: str, found: VersionQuality | None, paid: dict[tuple[str, str], CostRow]) -> Row:
    return Row(prompt=name, version=version, quality=found, cost=paid.get((name, version)))


def _told_of(registry: Registry, name: str) -> dict[str, str]:
    """The version that a submit takes, and what the prompt is for; or why it is of no use."""
    try:
        prompt = registry.get(name)
    except PromptError as error:
        return {"version": "", "told": f"is of no use: {error}"}
    return {"version": prompt.version, "told": prompt.config.description}


def _versions(registry: Registry, name: str) -> list[str]:
    try:
        return registry.versions(name)
    except PromptError:
        return []


def _shown(
    registry: Registry, name: str, version: str | None, versions: Sequence[str]
) -> tuple[PromptVersion | None, str]:
    """A version's files, the one that submits take unless it is named; or why it cannot be read."""
    if version is not None and version not in versions:
        raise Problem(404, f"prompt {name[:100]!r} has no version {version!r}")
    try:
        return registry.get(name, version), ""
    except PromptError as error:
        return None, str(error)


def _files(shown: PromptVersion, before: PromptVersion | None) -> list[dict[str, Any]]:
    """Each file's lines, with what was there before, and is not any more."""
    return [
        {"name": name, "lines": _lines(text, None if before is None else before.files.get(name, ""))}
        for name, text in shown.files.items()
    ]


def _lines(text: str, before: str | None) -> list[tuple[str, str]]:
    """Lines with ``same``, ``added`` or ``removed``."""
    after = text.splitlines()
    if before is None or len(after) + len(before.splitlines()) > LONGEST_DIFF:
        return [("same", line) for line in after]
    was = before.splitlines()
    found: list[tuple[str, str]] = []
    # Whole lines only, and none that is frequent begins a match: lines that are all alike would take minutes.
    for kind, old, old_end, new, new_end in difflib.SequenceMatcher(None, was, after).get_opcodes():
        if kind == "equal":
            found += [("same", line) for line in after[new:new_end]]
            continue
        found += [("removed", line) for line in was[old:old_end]]
        found += [("added", line) for line in after[new:new_end]]
    return found


def _trend(days: Sequence[quality.DayOfPrompt]) -> dict[str, Any] | None:
    """The share that went to a person, day by day, the oldest first: two days say something."""
    if len(days) < 2:
        return None
    shares = [100 * each.to_person / each.ended for each in reversed(days)]
    return {"line": chart.spark(shares), "first": shares[0], "last": shares[-1], "days": len(days)}
