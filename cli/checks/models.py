"""Whether prompts hold, and their models can be asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli.checks.pictures import decoded
from cli.checks.servers import found_in
from docmill.errors import Misconfigured, ServiceAway

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from docmill.settings import Model, Settings

__all__ = ["examine_ladders", "examine_models", "examine_prompts", "examine_schemas"]


def examine_prompts(settings: Settings) -> str:
    from docmill.errors import PromptBroken
    from workers.registry import registry_of

    registry = registry_of(settings)
    problems = registry.check()
    if problems:
        raise PromptBroken("; ".join(problems))
    return ", ".join(registry.names())


def examine_ladders(settings: Settings) -> str:
    """As the workers see it that make the calls; as this process does where none was seen."""
    from db import fleet
    from prompts.readiness import unready
    from workers.registry import registry_of

    reported = found_in(settings, fleet.unready)
    registry = registry_of(settings)
    found = unready(registry, settings.models) if reported is None else reported
    if found:
        raise Misconfigured("; ".join(found.values()))
    return f"{len(registry.names())} prompts can be answered"


def examine_models(settings: Settings) -> str:
    """Whether each address answers, takes the key, and offers what is asked of it."""
    models = [settings.models.get(name) for name in settings.models.configured()]
    problems = [told for model in models for told in _problems(model)]
    if problems:
        raise ServiceAway("; ".join(dict.fromkeys(problems)))
    return ", ".join(sorted({f"{model.base_url} answers" for model in models}))


def examine_schemas(settings: Settings) -> str:
    """How each model is told the shape of an answer, by what it was met to take."""
    from db.model_state import state_of
    from docmill.llm.wire.repairs import schema_told

    models = [settings.models.get(name) for name in settings.models.configured()]

    def told(connection: Connection) -> str:
        return "; ".join(
            f"{model.name}: {schema_told(state_of(connection, model).learned, model.structured)}"
            for model in models
        )

    return found_in(settings, told)


def _problems(model: Model) -> Iterator[str]:
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
