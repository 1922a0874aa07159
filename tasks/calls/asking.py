"""One call to a model, on the process's loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from docmill.errors import Failure, Misconfigured
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.transport import NOT_SENT
from docmill.llm.types import Request
from docmill.settings import Model
from tasks.services import Caller

__all__ = ["ask_model", "endpoint_of"]


def ask_model(
    caller: Caller, model: Model, request: Request, *, learned: Mapping[str, Any], call_id: UUID, deadline_s: float
) -> Outcome:
    """What the call came to; never raises for what a provider does. ``learned`` is what is known of the model."""
    asked = ask(
        endpoint_of(model, learned), request, call_id=call_id, transport=caller.transport, deadline_s=deadline_s
    )
    try:
        return caller.loop.run(asked)
    except Misconfigured as error:
        failure = Failure(kind="bad_request", message=str(error), code=NOT_SENT)
        return Outcome(reply=None, failure=failure, status=None, latency_ms=0)


def endpoint_of(model: Model, learned: Mapping[str, Any]) -> Endpoint:
    """Where calls of a model go, and as whom."""
    return Endpoint(
        provider=model.provider,
        base_url=model.base_url,
        key=model.key.get_secret_value() if model.key else None,
        learned=learned,
    )
