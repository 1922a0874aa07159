"""A collector of traces, as OpenTelemetry's own: OTLP over HTTP; and a provider whose answers are written before."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["Collector", "Scripted", "Seen", "collecting", "reply", "scripted"]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A span as it came."""

    name: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    failed: bool
    began: int
    ended: int
    process: str


@dataclass(kw_only=True)
class Collector:
    spans: list[Seen] = field(default_factory=list)
    url: str = ""

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            process = attributes_of(resource.resource)["service.instance.id"]
            for scope in resource.scope_spans:
                self.spans += [
                    Seen(
                        name=span.name,
                        trace=span.trace_id.hex(),
                        id=span.span_id.hex(),
                        parent=span.parent_span_id.hex(),
                        attributes=attributes_of(span),
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                        began=span.start_time_unix_nano,
                        ended=span.end_time_unix_nano,
                        process=process,
                    )
                    for span in scope.spans
                ]


def attributes_of(holder: Any) -> dict[str, Any]:
    return {each.key: value_of(each.value) for each in holder.attributes}


def value_of(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [value_of(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@dataclass(kw_only=True)
class Scripted:
    """Gives its answers in turn; what was asked is kept."""

    script: list[tuple[int, dict[str, str], Any]]
    asked: list[Any] = field(default_factory=list)
    url: str = ""


def reply(text: str, *, model: str, cached: int = 0) -> tuple[int, dict[str, str], Any]:
    usage = {"prompt_tokens": 90, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": cached}}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return 200, {}, {"id": "chatcmpl-1", "model": model, "choices": [choice], "usage": usage}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    def answer(body: bytes) -> tuple[int, dict[str, str], bytes]:
        collector.take(body)
        return 200, {}, b""

    with serving(answer) as url:
        collector.url = url
        yield collector


@contextmanager
def scripted(*script: tuple[int, dict[str, str], Any]) -> Iterator[Scripted]:
    provider = Scripted(script=list(script))

    def answer(body: bytes) -> tuple[int, dict[str, str], bytes]:
        provider.asked.append(json.loads(body))
        status, headers, said = provider.script.pop(0)
        return status, {"content-type": "application/json", **headers}, json.dumps(said).encode()

    with serving(answer) as url:
        provider.url = url
        yield provider


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, headers, body = answer(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
