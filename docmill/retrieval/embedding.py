"""One call for the vectors of some texts: request out, vectors or failure back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from docmill.errors import Failure
from docmill.llm.client import Endpoint, Outcome, classified, outcome_of
from docmill.llm.transport import Response, Transport
from docmill.llm.wire import embeddings, wire_for

__all__ = ["MOST_TOKENS", "Embedding", "batch", "embed"]

MOST_TEXTS = 96
"""Of one call: some providers take no more than a hundred."""
MOST_TOKENS = 12_000
"""Of one call, by our count: the least that a provider is known to take is 16,000."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """What a call came to; ``vectors`` in the texts' order, None where it failed."""

    outcome: Outcome
    vectors: list[list[float]] | None


def batch(tokens: Sequence[int]) -> int:
    """Returns how many texts, of so many tokens each, make up the next call: at least one."""
    total = 0
    for place, each in enumerate(tokens[:MOST_TEXTS]):
        total += each
        if total > MOST_TOKENS:
            return max(1, place)
    return min(len(tokens), MOST_TEXTS)


async def embed(
    endpoint: Endpoint,
    model: str,
    texts: Sequence[str],
    *,
    call_id: UUID,
    transport: Transport,
    deadline_s: float,
) -> Embedding:
    """Sends the texts once, under the id that the provider's bill will carry. Never retries.

    Raises Misconfigured for a provider without embeddings.
    """
    started = time.monotonic()
    response = await transport.post(
        embeddings.url(endpoint.provider, endpoint.base_url),
        headers={**wire_for(endpoint.provider).headers(endpoint.key), "x-client-request-id": str(call_id)},
        body=embeddings.body(endpoint.provider, model, texts),
        deadline_s=deadline_s,
    )
    latency_ms = round((time.monotonic() - started) * 1000)
    if isinstance(response, Failure):
        return Embedding(outcome=outcome_of(endpoint.provider, response, latency_ms=latency_ms), vectors=None)
    return _told(endpoint.provider, response, len(texts), latency_ms)


def _told(provider: str, response: Response, count: int, latency_ms: int) -> Embedding:
    good = response.status < 400
    vectors = embeddings.vectors(response.body, count) if good else None
    # What has all its vectors is an answer, whatever a chat's reply would look like.
    failure = None if vectors is not None else classified(provider, response)
    if vectors is None and failure is None:
        failure = Failure(kind="server_error", message=f"the answer has not one vector for each of {count} texts")
    reply = embeddings.reply(response.body) if good else None
    outcome = outcome_of(provider, response, reply=reply, failure=failure, latency_ms=latency_ms)
    return Embedding(outcome=outcome, vectors=vectors)
