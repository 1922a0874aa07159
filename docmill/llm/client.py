"""One call to one model: request out, reply or failure back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog

from docmill.errors import Failure, Repair
from docmill.llm.bounds import bounded_failure, bounded_limits, bounded_name, bounded_reply
from docmill.llm.classification import classify, classify_opened
from docmill.llm.limits import Limits, told_left, told_limits
from docmill.llm.transport import NOT_SENT, Response, Transport
from docmill.llm.types import Reply, Request
from docmill.llm.wire import wire_for
from docmill.llm.wire.replies import OpenedResponse, read_opened
from docmill.llm.wire.request_ids import request_id
from docmill.llm.wire.schemas import digest_of, fields_in

__all__ = ["Endpoint", "Outcome", "ask", "classified", "outcome_of"]

log = structlog.get_logger()

DEADLINE_S = 60.0
UNREAD: Failure | None = Failure(kind="server_error", message="the answer could not be read: see the log")
UNWRITTEN = Failure(kind="bad_request", message="the request could not be written: see the log", code=NOT_SENT)
UNTOLD = Limits()
FEW_FIELDS = 5
"""A schema of fewer is too large by something else of it, whatever the provider says."""
T = TypeVar("T")


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
        """Whether the model gave an answer, whatever it is worth: nothing is at fault, tokens were counted, a text
        came without any that can be believed, or it was cut, refused or filtered before its first character."""
        if self.reply is None:
            return False
        if self.failure is None or self.reply.usage.output_tokens is not None or self.reply.text:
            return True
        good = self.status is not None and self.status < 300
        return good and self.failure.kind in ("truncated", "refused", "content_filtered")

    @property
    def possibly_billed(self) -> bool:
        """Whether the provider may have answered, and so charge, without our having the answer.

        A response that says it is good, and holds nothing that can be read, may have been one.
        """
        if self.failure is None or self.answered:
            return False
        if self.status is not None and self.status < 300:
            return self.failure.kind in ("server_error", "timeout")
        lost = self.failure.kind == "connection" and self.failure.code != NOT_SENT
        return lost or (self.failure.kind == "timeout" and self.status is None)


async def ask(
    endpoint: Endpoint, request: Request, *, call_id: UUID, transport: Transport, deadline_s: float = DEADLINE_S
) -> Outcome:
    """Sends the request once, under the id that the provider's bill will carry. Never retries.

    Raises Misconfigured for a provider without a wire.
    """
    wire = wire_for(endpoint.provider)
    body = _guarded("request", lambda: wire.body(request, endpoint.learned), None)
    if body is None:
        return outcome_of(endpoint.provider, UNWRITTEN, latency_ms=0)
    started = time.monotonic()
    response = await transport.post(
        wire.url(endpoint.base_url, request.model),
        headers={**wire.headers(endpoint.key), "x-client-request-id": str(call_id)},
        body=body,
        deadline_s=deadline_s,
    )
    latency_ms = round((time.monotonic() - started) * 1000)
    if isinstance(response, Failure):
        return outcome_of(endpoint.provider, response, latency_ms=latency_ms)
    failure, reply = _read(endpoint.provider, response)
    failure = _sized(failure, request)
    return outcome_of(endpoint.provider, response, reply=reply, failure=failure, latency_ms=latency_ms)


def _sized(failure: Failure | None, request: Request) -> Failure | None:
    """With how large the schema was, or which, where the provider complains about that: it does not say so."""
    repair, schema = None if failure is None else failure.repair, request.json_schema
    if failure is None or repair is None or repair.action not in ("smaller_schema", "this_schema"):
        return failure
    if schema is None:
        return failure
    size = fields_in(schema)
    if repair.action == "smaller_schema" and size >= FEW_FIELDS:
        return replace(failure, repair=replace(repair, value=size))
    return replace(failure, repair=Repair(action="this_schema", value=digest_of(schema)))


def classified(provider: str, response: Response) -> Failure | None:
    """Returns what is wrong with the response; None for a good one. Never raises."""

    def read() -> Failure | None:
        return classify(
            provider=provider,
            status=response.status,
            headers=response.headers,
            body=response.body,
            now=datetime.now(UTC),
        )

    return _guarded("failure", read, UNREAD)


def outcome_of(
    provider: str,
    response: Response | Failure,
    *,
    reply: Reply | None = None,
    failure: Failure | None = None,
    latency_ms: int,
) -> Outcome:
    """All that a response tells, within bounds. Never raises: by now it may be paid for."""
    if isinstance(response, Failure):
        told = bounded_failure(response)
        return Outcome(reply=None, failure=told, status=response.status, latency_ms=latency_ms)
    headers, body = response.headers, response.body
    named = _guarded("request id", lambda: request_id(headers, body), None)
    return Outcome(
        reply=None if reply is None else bounded_reply(reply),
        failure=None if failure is None else bounded_failure(failure),
        status=response.status,
        latency_ms=latency_ms,
        limits=bounded_limits(_guarded("limits", lambda: told_limits(provider, headers), UNTOLD)),
        left=bounded_limits(_guarded("limits", lambda: told_left(provider, headers), UNTOLD), least=0.0),
        request_id=bounded_name(named or (reply.request_id if reply else None)),
    )


def _read(provider: str, response: Response) -> tuple[Failure | None, Reply | None]:
    """What is wrong with a response, and the reply in it; a defect in what reads one loses not the other."""
    headers = response.headers
    opened = _guarded("body", lambda: _opened(provider, response), None)
    if opened is None:
        return UNREAD, None
    failure = _guarded("failure", lambda: classify_opened(opened, headers, datetime.now(UTC)), UNREAD)
    if failure is not None and response.status >= 400:
        return failure, None
    reply = _guarded("reply", lambda: read_opened(opened, headers), None)
    return (UNREAD if failure is None and reply is None else failure), reply


def _opened(provider: str, response: Response) -> OpenedResponse | None:
    return OpenedResponse.of(provider=provider, status=response.status, body=response.body)


def _guarded(what: str, read: Callable[[], T], otherwise: T) -> T:
    """What our own code makes of a request or a response; a defect of it is told, and costs nobody the rest."""
    try:
        return read()
    except Exception:
        log.exception("call_not_understood", part=what)
        return otherwise
