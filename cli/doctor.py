"""``docmill doctor``: what works here, and what to do about what does not."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import typer

from cli.console import AsJson, Data, print_json, print_table
from cli.eyes import decoded, examine_eyes
from docmill.errors import DocmillError, Misconfigured, ServiceAway
from docmill.redaction import redacted

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from docmill.settings import Model, Settings

__all__ = ["doctor"]

Found = TypeVar("Found")


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
        "database": _database,
        "broker": _broker,
        "cache": _cache,
        "workers": _workers,
        "upkeep": _upkeep,
        "reading": _reading,
        "ocr": _ocr,
        "schedules": _schedules,
        "prompts": _prompts,
        "ladders": _ladders,
        "models": _models,
        "schemas": _schemas,
        "eyes": examine_eyes,
        "work": _work,
    }
    for name, check in checks.items():
        try:
            yield name, False, check(settings)
        except DocmillError as error:
            yield name, True, str(error)


def _found(settings: Settings, operation: Callable[[Connection], Found]) -> Found:
    from db.database import open_database

    with open_database(settings.need("database_url"), pool_size=1) as database:
        return database.run(operation)


def _database(settings: Settings) -> str:
    from db.fleet import server

    version, role, ready = _found(settings, server)
    if not ready:
        raise ServiceAway("the database has no docmill schema: `docmill up` brings it, or `docmill migrate`")
    return f"PostgreSQL {version} as {role}"


def _broker(settings: Settings) -> str:
    from tasks.celery import broker

    broker.check(broker.connect(settings))
    return "answers"


def _cache(settings: Settings) -> str:
    from workers.stack.up import check_cache

    check_cache(settings.need("cache_url"))
    return "answers"


def _workers(settings: Settings) -> str:
    from db.fleet import seen

    workers = Counter(queue for _, queue, _ in _found(settings, seen))
    missing = {"io", "cpu", "quarantine", *(("ocr",) if settings.ocr != "off" else ())} - workers.keys()
    if missing:
        raise ServiceAway(
            f"no {' and no '.join(sorted(missing))} worker was seen for 30 s: start one, or `docmill up`"
        )
    return ", ".join(f"{count} {queue}" for queue, count in sorted(workers.items()))


def _upkeep(settings: Settings) -> str:
    """Whether the workers look after what got lost, or leave out a part, a row or a file of it."""
    from db.fleet import troubles as troubles_seen

    troubles = _found(settings, troubles_seen)
    if troubles:
        raise Misconfigured("; ".join(map(str, troubles)))
    return "whole"


def _work(settings: Settings) -> str:
    """What of the work needs somebody. It is told, and is no fault of the installation."""
    from db.concerns import NOTHING, concerns
    from db.overview import snapshot, tenants

    found = _found(settings, lambda connection: snapshot(connection, tenants(connection)))
    # Workers, upkeep and models have lines of their own.
    told = [each.sentence for each in concerns(found) if each.kind not in ("workers", "upkeep")]
    return "; ".join(told) or NOTHING


def _reading(_: Settings) -> str:
    from docmill.reading import Reader

    with Reader() as reader:
        found = reader.confinement()
    user = "as root: this one may become nobody else" if found.uid == 0 else f"as user {found.uid}"
    network = "with the network open: this system cannot close it" if found.network else "without network"
    return f"in a process of its own, {user}, {network}"


def _ocr(settings: Settings) -> str:
    from docmill.reading.engines import installed
    from docmill.reading.ocr import tesseract

    if settings.ocr == "tesseract" and tesseract.found() is None:
        raise Misconfigured(f"DOCMILL_OCR is tesseract, and {tesseract.MISSING}")
    if settings.ocr == "on" and not installed():
        raise Misconfigured("DOCMILL_OCR is on, and RapidOCR is not installed: install docmill[app]")
    return settings.ocr


def _schedules(settings: Settings) -> str:
    from db.schedules import listed

    found = _found(settings, listed)
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


def _ladders(settings: Settings) -> str:
    """As the workers see it that make the calls; as this process does where none was seen."""
    from db import fleet
    from prompts.readiness import unready
    from workers.services import registry_of

    reported = _found(settings, fleet.unready)
    registry = registry_of(settings)
    found = unready(registry, settings.models) if reported is None else reported
    if found:
        raise Misconfigured("; ".join(found.values()))
    return f"{len(registry.names())} prompts can be answered"


def _models(settings: Settings) -> str:
    """Whether each address answers, takes the key, and offers what is asked of it."""
    models = [settings.models.get(name) for name in settings.models.configured()]
    problems = [told for model in models for told in _examine_model(model)]
    if problems:
        raise ServiceAway("; ".join(dict.fromkeys(problems)))
    return ", ".join(sorted({f"{model.base_url} answers" for model in models}))


def _schemas(settings: Settings) -> str:
    """How each model is told the shape of an answer, by what it was met to take."""
    from db.model_state import state_of
    from docmill.llm.wire.repairs import schema_told

    models = [settings.models.get(name) for name in settings.models.configured()]

    def told(connection: Connection) -> str:
        return "; ".join(
            f"{model.name}: {schema_told(state_of(connection, model).learned, model.structured)}"
            for model in models
        )

    return _found(settings, told)


def _examine_model(model: Model) -> Iterator[str]:
    import httpx

    from docmill.llm import classify
    from docmill.llm.wire import wire_for
    from docmill.llm.wire.listings import names_in

    wire = wire_for(model.provider)
    headers = wire.headers(model.key.get_secret_value() if model.key else None)
    try:
        answer = httpx.get(wire.list_url(model.base_url), headers=headers, timeout=5)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield f"nothing answers at {model.base_url} ({type(error).__name__}): start it, or mend {_place(model)}"
        return
    failure = classify(
        provider=model.provider, status=answer.status_code, headers=answer.headers, body=decoded(answer)
    )
    if failure is not None and failure.kind == "auth":
        yield f"{model.base_url} rejects the key of model {model.name}: set a valid one"
    elif failure is not None and answer.status_code >= 500:
        yield f"{model.base_url} answers with HTTP {answer.status_code} ({failure.kind})"
    offered = names_in(decoded(answer)) if failure is None else []
    if offered and model.must_be_listed and model.model not in offered:
        yield f"{model.base_url} offers no {model.model}: say what {model.name} is under [models.{model.name}]"


def _place(model: Model) -> str:
    return f"DOCMILL_LLM_URL, or base_url under [models.{model.name}]"
