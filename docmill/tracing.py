"""What a job goes through, as spans of OpenTelemetry: one trace from its submit to its end.

The conventions are those for generative AI (https://github.com/open-telemetry/semantic-conventions-genai). No span
holds a word of a document, a message or a reply, unless it was switched on.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from docmill import __version__
from docmill.errors import Misconfigured
from docmill.llm.client import Outcome
from docmill.llm.types import Request, Usage

__all__ = [
    "OtelTracer",
    "Span",
    "Tracer",
    "call_attributes",
    "embedding_attributes",
    "outcome_attributes",
    "parent_of",
    "valid_parent",
    "vectors_attributes",
]

Value: TypeAlias = str | int | float | bool | list[str]
Kind: TypeAlias = Literal["internal", "client", "producer", "consumer"]

PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""Of W3C Trace Context."""
PROVIDERS = {"google": "gcp.gemini", "gemini": "gcp.gemini", "azure": "azure.ai.openai", "bedrock": "aws.bedrock"}
"""As the conventions call some providers; the others as docmill does."""
TOLD_WITHIN_S = 5
TOLD_EVERY_MS = 2_000
MOST_WAITING, MOST_WITH_CONTENT, MOST_AT_ONCE = 2_048, 128, 64
"""Spans that wait for a collector that is away, fewer where messages are in them; and those of one request."""
LONGEST_CONTENT = 100_000
"""Characters of messages, or of a reply, in a span."""


class Span(Protocol):
    """Something that takes a while."""

    def tell(self, attributes: Mapping[str, Value | None]) -> None:
        """Adds to what is known of it; None is unknown, and not told."""

    def fail(self, kind: str) -> None:
        """Says that it came to nothing, or to the wrong thing."""


class Tracer(Protocol):
    """Where spans go."""

    content: bool
    """Whether messages and replies are told."""

    def span(
        self, name: str, *, parent: str | None, kind: Kind, attributes: Mapping[str, Value | None]
    ) -> AbstractContextManager[Span]:
        """Opens a span below that of ``parent`` (a ``traceparent``), which ends with the block."""

    def here(self) -> str | None:
        """Names the span that lasts in this thread now, as a ``traceparent``."""


def valid_parent(written: str | None) -> str | None:
    """Returns a ``traceparent`` that somebody else wrote; None for what is none."""
    return written if written is not None and PARENT.fullmatch(written) else None


def parent_of(stored: str | None, job_id: int, tenant: str, work: str) -> str:
    """Returns whose trace a job belongs to: its submit's, or one of its own, which each stage finds alike."""
    known = valid_parent(stored)
    if known is not None:
        return known
    digest = hashlib.sha256(f"docmill job {job_id} {tenant} {work}".encode()).hexdigest()
    return f"00-{digest[:32]}-{digest[32:48]}-01"


def call_attributes(provider: str, base_url: str, request: Request, *, content: bool) -> dict[str, Value | None]:
    """Returns what is known of a call before it is made."""
    messages = [(str(each.role), each.content) for each in request.messages]
    return {
        **_asked("chat", provider, base_url, request.model),
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.output.type": "json" if request.json_schema is not None or request.json_mode else "text",
        "gen_ai.input.messages": _said(messages) if content else None,
    }


def embedding_attributes(provider: str, base_url: str, model: str, *, texts: int) -> dict[str, Value | None]:
    """Returns what is known of a call for vectors before it is made; for its texts there is no attribute."""
    return {**_asked("embeddings", provider, base_url, model), "docmill.texts": texts}


def _asked(operation: str, provider: str, base_url: str, model: str) -> dict[str, Value | None]:
    """What is asked of whom."""
    server = urlsplit(base_url)
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
        "gen_ai.request.model": model,
        "server.address": server.hostname,
        "server.port": server.port,
    }


def outcome_attributes(outcome: Outcome, *, content: bool) -> dict[str, Value | None]:
    """Returns what a call came to; tokens that were read from a cache are input tokens, too, as in the ledger."""
    reply = outcome.reply
    usage = reply.usage if reply is not None else Usage()
    return {
        **_answered(outcome),
        "gen_ai.response.finish_reasons": [reply.finish_reason] if reply is not None else None,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "gen_ai.output.messages": _said([("assistant", reply.text)]) if content and reply is not None else None,
    }


def vectors_attributes(outcome: Outcome, *, dimensions: int | None) -> dict[str, Value | None]:
    """Returns what a call for vectors came to; ``dimensions`` is None where there are none."""
    return {**_answered(outcome), "gen_ai.embeddings.dimension.count": dimensions}


def _answered(outcome: Outcome) -> dict[str, Value | None]:
    """What any call tells of its answer."""
    reply = outcome.reply
    return {
        "gen_ai.response.model": reply.model_echoed if reply is not None else None,
        "gen_ai.response.id": reply.request_id if reply is not None else None,
        "gen_ai.usage.input_tokens": reply.usage.input_tokens if reply is not None else None,
        "http.response.status_code": outcome.status,
        "docmill.request_id": outcome.request_id,
    }


def _said(messages: list[tuple[str, str]]) -> str:
    parts = [
        {"role": role, "parts": [{"type": "text", "content": text[:LONGEST_CONTENT]}]} for role, text in messages
    ]
    return json.dumps(parts, ensure_ascii=False)


class OtelTracer:
    """Tells a collector, over OTLP and HTTP, in threads of its own; one that is away costs a job nothing.

    Raises Misconfigured where OpenTelemetry is not installed.
    """

    def __init__(self, url: str, *, owner: str, content: bool = False) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise Misconfigured(
                "DOCMILL_TRACES_URL is set, and OpenTelemetry is not installed: `pip install 'docmill[otel]'`"
            ) from error
        self.content = content
        self._trace = trace
        self._propagator = TraceContextTextMapPropagator()
        named = {"service.name": "docmill", "service.version": __version__, "service.instance.id": owner}
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=TOLD_WITHIN_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                schedule_delay_millis=TOLD_EVERY_MS,
                max_queue_size=MOST_WITH_CONTENT if content else MOST_WAITING,
                max_export_batch_size=MOST_AT_ONCE,
            )
        )
        self._tracer = self._provider.get_tracer("docmill", __version__)

    @contextmanager
    def span(
        self, name: str, *, parent: str | None, kind: Kind, attributes: Mapping[str, Value | None]
    ) -> Iterator[Span]:
        """Opens a span; an exception that leaves it is told by its class alone."""
        context = self._propagator.extract({} if parent is None else {"traceparent": parent})
        kinds = self._trace.SpanKind
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=getattr(kinds, kind.upper()),
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            span = _OtelSpan(made)
            span.tell(attributes)
            try:
                yield span
            except Exception as error:
                span.fail(type(error).__name__)
                raise

    def here(self) -> str | None:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """Tells what is left, for some seconds: a collector that is away holds up no end of a process."""
        telling = threading.Thread(target=self._provider.shutdown, name="docmill-traces", daemon=True)
        telling.start()
        telling.join(TOLD_WITHIN_S)


class _OtelSpan:
    def __init__(self, span: Any) -> None:
        self._span = span

    def tell(self, attributes: Mapping[str, Value | None]) -> None:
        self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))
