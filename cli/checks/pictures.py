"""Whether models take pictures, asked where docmill does not know: for ``docmill doctor``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from httpx import Response

    from docmill.settings import Model, Settings

__all__ = ["decoded", "examine_pictures"]

TIMEOUT_S = 20


def examine_pictures(settings: Settings) -> str:
    """Tells of each model whether it takes pictures. Raises Misconfigured where docmill.toml says otherwise.

    A model whose server cannot be asked for nothing is sent a picture of 32 by 32 dots, which costs some tokens.
    """
    models = settings.models
    told, wrong = [], []
    for name in models.configured():
        table = models.find(name)
        met = _probed(models.get(name)) if table.sees is None or table.images is not None else table.sees
        if met is not None and table.images is not None and met is not table.images:
            wrong.append(
                f"{name} {_words(met)}, and docmill.toml says images = {str(table.images).lower()}: mend it"
            )
        advice = f" (say so: images = {str(met).lower()} under [models.{name}])" if table.sees is None else ""
        told.append(f"{name} {_words(met)}{advice if met is not None else ''}")
    if wrong:
        raise Misconfigured("; ".join(wrong))
    return ", ".join(told)


def _words(sees: bool | None) -> str:
    return {True: "takes pictures", False: "takes no pictures", None: "does not tell whether it takes pictures"}[
        sees
    ]


def _probed(model: Model) -> bool | None:
    """What the server itself says; None where it does not answer, or says nothing of it."""
    import httpx

    try:
        return next(iter(_asked(model)), None)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None


def decoded(answer: Response) -> object:
    """What an answer says: decoded JSON, or the text where it is none."""
    try:
        found: object = answer.json()
    except ValueError:
        return answer.text
    return found


def _asked(model: Model) -> Iterator[bool]:
    """First in the way that costs nothing, then with a picture."""
    import httpx

    from docmill.llm import classify
    from docmill.llm.wire import wire_for
    from docmill.llm.wire.probing import canary, probe_of

    wire = wire_for(model.provider)
    headers = wire.headers(model.key.get_secret_value() if model.key else None)
    probe = probe_of(model.provider, model.base_url, model.model)
    if probe is not None:
        method = "GET" if probe.body is None else "POST"
        answer = httpx.request(method, probe.url, headers=headers, json=probe.body, timeout=TIMEOUT_S)
        met = probe.read(answer.json()) if answer.is_success else None
        if met is not None:
            yield met
    asked = wire.body(canary(model.model))
    answer = httpx.post(wire.url(model.base_url, model.model), headers=headers, json=asked, timeout=TIMEOUT_S)
    body = decoded(answer)
    failure = classify(provider=model.provider, status=answer.status_code, headers=answer.headers, body=body)
    if failure is None or failure.kind == "truncated":
        yield True
    elif failure.repair is not None and failure.repair.action == "no_images":
        yield False
