"""One call to one model: request out, reply or failure back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from docmill.errors import Failure
from docmill.llm.classification import classify
from docmill.llm.limits import Limits, told_left, told_limits
from docmill.llm.transport import NOT_SENT, Response, Transport
from docmill.llm.types import Reply, Request
from docmill.llm.wire import wire_for
from docmill.llm.wire.replies import read_reply
from docmill.llm.wire.request_ids import request_id

__all__ = ["Endpoint", "Outcome", "ask"]

DEADLINE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a model is reached, and under which credential."""

    provider: str
    """A name that :func:`docmill.llm.wire.wire_for` knows."""
    base_url: str
    key: str | None = field(default=None, repr=False)
    learned: Mapping[str, Any] = field(default_factory=dict)
    """What the model is known to reject (:func:`docmill.llm.wire.learn`)."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call came to. A truncated or refused answer has both a failure and the reply that was paid for."""

    reply: Reply | None
    failure: Failure | None
    status: int | None
    latency_ms: int
    limits: Limits = field(default_factory=Limits)
    """What the response told of the provider's limits."""
    left: Limits = field(default_factory=Limits)
    """What the response told to be left of them."""
    request_id: str | None = None
    """Under which the provider's support finds the call, answered or failed."""

    @property
    def answered(self) -> bool:
        """Whether the model gave an answer, whatever it is worth: nothing is at fault, tokens were counted, or a
        text came without any that can be believed."""
        if self.reply is None:
            return False
        return self.failure is None or self.reply.usage.output_tokens is not None or bool(self.reply.text)

    @property
    def possibly_billed(self) -> bool:
        """Whether the provider may have answered, and so charge, without our having the answer."""
        if self.failure is None or self.answered:
            return False
        lost = self.failure.kind == "connection" and self.failure.code != NOT_SENT
        return lost or (self.failure.kind == "timeout" and self.status is None)


async def ask(
    endpoint: Endpoint, request: Request, *, call_id: UUID, transport: Transport, deadline_s: float = DEADLINE_S
) -> Outcome:
    """Sends the request once, under the id that the provider's bill will carry. Never retries.

    Raises Misconfigured for a provider without a wire.
    """
    wire = wire_for(endpoint.provider)
    started = time.monotonic()
    response = await transport.post(
        wire.url(endpoint.base_url, request.model),
        headers={**wire.headers(endpoint.key), "x-client-request-id": str(call_id)},
        body=wire.body(request, endpoint.learned),
        deadline_s=deadline_s,
    )
    latency_ms = round((time.monotonic() - started) * 1000)
    if isinstance(response, Failure):
        return Outcome(reply=None, failure=response, status=response.status, latency_ms=latency_ms)
    failure = classify(
        provider=endpoint.provider,
        status=response.status,
        headers=response.headers,
        body=response.body,
        now=datetime.now(UTC),
    )
    reply = _reply(endpoint, response) if _may_hold_a_reply(response, failure) else None
    return Outcome(
        reply=reply,
        failure=failure,
        status=response.status,
        latency_ms=latency_ms,
        limits=told_limits(endpoint.provider, response.headers),
        left=told_left(endpoint.provider, response.headers),
        request_id=request_id(response.headers, response.body) or (reply.request_id if reply else None),
    )


def _reply(endpoint: Endpoint, response: Response) -> Reply:
    return read_reply(
        provider=endpoint.provider, status=response.status, headers=response.headers, body=response.body
    )


def _may_hold_a_reply(response: Response, failure: Failure | None) -> bool:
    return failure is None or response.status < 400
