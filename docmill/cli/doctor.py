"""``docmill doctor``: what works here, and what to do about what does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer

from docmill.cli.console import AsJson, Data, print_json, print_table
from docmill.errors import DocmillError, Misconfigured, ServiceAway

if TYPE_CHECKING:
    from docmill.settings import Settings

__all__ = ["doctor"]


def doctor(as_json: AsJson = False, data: Data = None) -> None:
    """Check settings, servers, workers, prompts and provider. Exit code 1 says that something is wrong."""
    found = list(_examine(data))
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
        "database": _database,
        "broker": lambda known: _valkey(known, "broker"),
        "cache": lambda known: _valkey(known, "cache"),
        "workers": _workers,
        "schedules": _schedules,
        "prompts": _prompts,
        "models": _models,
    }
    for name, check in checks.items():
        try:
            yield name, False, check(settings)
        except DocmillError as error:
            yield name, True, str(error)


def _database(settings: Settings) -> str:
    from sqlalchemy import text

    from db.engine import make_engine

    engine = make_engine(settings.need("database_url"), pool_size=1)
    with engine.connect() as connection:
        version = str(connection.execute(text("show server_version")).scalar())
        ready = connection.execute(text("select to_regclass('jobs') is not null")).scalar()
    engine.dispose()
    if not ready:
        raise ServiceAway("the database has no docmill schema: `docmill up` brings it, or `docmill migrate`")
    return f"PostgreSQL {version}"


def _valkey(settings: Settings, name: str) -> str:
    from workers.stack.up import check_valkey

    check_valkey(name, settings.need("broker_url" if name == "broker" else "cache_url"))
    return "answers"


def _workers(settings: Settings) -> str:
    from sqlalchemy import text

    from db.engine import make_engine

    engine = make_engine(settings.need("database_url"), pool_size=1)
    with engine.connect() as connection:
        seen = connection.execute(
            text(
                "select queue, count(*) from workers"
                " where seen_at > clock_timestamp() - interval '30 s' group by queue order by queue"
            )
        ).all()
    engine.dispose()
    missing = {"io", "cpu", "quarantine"} - {row.queue for row in seen}
    if missing:
        raise ServiceAway(
            f"no {' and no '.join(sorted(missing))} worker was seen for 30 s: start one, or `docmill up`"
        )
    return ", ".join(f"{row.count} {row.queue}" for row in seen)


def _schedules(settings: Settings) -> str:
    from db.engine import make_engine
    from db.schedules import listed

    engine = make_engine(settings.need("database_url"), pool_size=1)
    with engine.connect() as connection:
        found = listed(connection)
    engine.dispose()
    failed = [f"{last.name}: {last.failure}" for _, last in found if last is not None and last.failure is not None]
    if failed:
        raise Misconfigured("; ".join(failed))
    return f"{len(found)}"


def _prompts(settings: Settings) -> str:
    from docmill.errors import PromptBroken
    from workers.services import registry_of

    registry = registry_of(settings)
    problems = registry.check()
    if problems:
        raise PromptBroken("; ".join(problems))
    return ", ".join(registry.names())


def _models(settings: Settings) -> str:
    import httpx

    model = settings.models.get("small")
    key = model.key.get_secret_value() if model.key else None
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{model.base_url.rstrip('/')}/models", headers=headers, timeout=5)
    except httpx.HTTPError as error:
        raise ServiceAway(
            f"nothing answers at {model.base_url} ({type(error).__name__}): start it, or mend DOCMILL_LLM_URL"
        ) from error
    if answer.status_code in (401, 403):
        raise ServiceAway(f"{model.base_url} rejects the key: set a valid DOCMILL_LLM_API_KEY")
    return f"{model.base_url} answers"
