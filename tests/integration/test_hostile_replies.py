"""Whatever a provider answers, its call is closed, its job ends or waits with a reason, and nothing is left over."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from db.database import Database
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.settings import load_settings
from prompts import Registry
from tasks.services import Caller, Services
from tests.walk import Walk, ignore

ANSWER = '{"company": "EXAMPLE TEA HOUSE", "date": "2018-03-09", "address": "1 Sample Street", "total": "12.50"}'
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
HUGE = 10**400


def reply(content: object = ANSWER, *, usage: object = None, **changes: Any) -> dict[str, Any]:
    """A chat completion with one thing changed."""
    message = {"role": "assistant", "content": content}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "sim-small",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE if usage is None else usage,
    }
    return whole | changes


def error(message: object, **changes: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": "x", **changes}}


def response(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, *, coded: bytes | None = None
) -> bytes:
    """The bytes of an answer over HTTP; ``coded`` is its body where that is no plain JSON."""
    content = coded if coded is not None else body if isinstance(body, bytes) else json.dumps(body).encode()
    told = {"content-type": "application/json", "content-length": str(len(content)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in told.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + content


def usage(**changes: object) -> dict[str, object]:
    return USAGE | changes


PAID: dict[str, bytes] = {
    "NUL in the content": response(reply(ANSWER.replace("TEA", "T\0A"))),
    "NUL in a word of the content": response(reply(ANSWER.replace("TEA", "T\\u0000A"))),
    "NUL in model": response(reply(model="sim\0small")),
    "NUL in id": response(reply(id="chat\0cmpl")),
    "NUL in finish reason": response(reply(choices=[{"message": {"content": ANSWER}, "finish_reason": "st\0op"}])),
    "a lone surrogate in the content": response(reply(ANSWER.replace("TEA", "T\ud800A"))),
    "a lone surrogate in model": response(reply(model="sim\udfffsmall")),
    "a lone surrogate in id": response(reply(id="\ud800")),
    "an id of a million letters": response(reply(id="x" * 1_000_000)),
    "a model of a million letters": response(reply(model="x" * 1_000_000)),
    "brackets without an end": response(reply("[" * 200_000)),
    "braces without an end": response(reply('{"a":' * 50_000)),
    "nested 5,000 deep": response(reply("[" * 5_000 + "]" * 5_000)),
    "nested 300 deep": response(reply(ANSWER[:-1] + ', "more": ' + "[" * 300 + "]" * 300 + "}")),
    "numbers that are none": response(reply('{"company": NaN, "date": Infinity, "address": -Infinity, "total": 1e999}')),
    "a number of 5,000 digits": response(reply('{"company": "x", "date": null, "address": "y", "total": ' + "9" * 5000 + "}")),
    "four million letters": response(reply("x" * 4_000_000)),
    "limit headers of 5,000 digits": response(
        reply(),
        headers={
            "x-ratelimit-limit-requests": "9" * 5000,
            "x-ratelimit-limit-tokens": "9" * 5000,
            "x-ratelimit-remaining-tokens": "9" * 5000,
        },
    ),
    "limits of 0": response(reply(), headers={"x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "0"}),
    "limits that are no number": response(reply(), headers={"x-ratelimit-limit-requests": "1e308", "x-ratelimit-limit-tokens": "NaN"}),
    "limits of 308 digits": response(reply(), headers={"x-ratelimit-limit-requests": "9" * 308, "x-ratelimit-limit-tokens": "9" * 308}),
    "a request id of 60,000 letters": response(reply(), headers={"x-request-id": "x" * 60_000}),
}  # fmt: skip
"""Whose usage says 100 and 20 tokens."""

UNCOUNTED: dict[str, bytes] = {
    "more tokens than a column holds": response(reply(usage=usage(prompt_tokens=2**31))),
    "more tokens than eight bytes hold": response(reply(usage=usage(completion_tokens=2**63))),
    "tokens of 400 digits": response(reply(usage=usage(prompt_tokens=HUGE, completion_tokens=HUGE))),
    "cached tokens of 400 digits": response(reply(usage=usage(prompt_tokens_details={"cached_tokens": HUGE}))),
    "reasoning tokens beyond all": response(
        reply(usage=usage(completion_tokens_details={"reasoning_tokens": 2**62}))
    ),
    "tokens that are no number": response(json.dumps(reply(usage=usage(prompt_tokens=float("inf")))).encode()),
    "tokens with a fraction": response(reply(usage=usage(prompt_tokens=1.5, completion_tokens=1e300))),
    "negative tokens": response(reply(usage=usage(prompt_tokens=-1, completion_tokens=-(2**40)))),
    "tokens as texts": response(reply(usage=usage(prompt_tokens="9" * 5000, completion_tokens="\0"))),
    "usage is a list": response(reply(usage=[1, 2, 3])),
    "a cost beyond all": response(reply(usage=usage(cost=1e300))),
    "a negative cost": response(reply(usage=usage(cost=-1))),
    "a cost of 5,000 digits": response(reply(usage=usage(cost="9" * 5000))),
    "a cost that is no number": response(reply(usage=usage(cost="sNaN"))),
    "a number of 5,000 digits in the body": response(b'{"choices": ' + b"9" * 5000 + b"}"),
}
BROKEN: dict[str, bytes] = {
    "no JSON": response(b"\xff\xfe\x00\x01\x80"),
    "NUL alone": response(b"\0" * 1000),
    "nothing": response(b""),
    "null": response(b"null"),
    "a number": response(b"17"),
    "a body of 200,000 brackets": response(b"[" * 200_000),
    "a body nested in objects": response(b'{"choices":' * 30_000),
    "a million empty lists": response(b"[" + b"[]," * 3_000_000 + b"[]]"),
    "an error with NUL": response(error("a\0b"), 400),
    "an error with half a character": response(error("a\ud800b", code="\udfff", param="\0"), 400),
    "an error of a million letters": response(error("x" * 1_000_000, type="y" * 100_000), 400),
    "an error whose counts have 400 digits": response(
        error(f"maximum context length is {HUGE} tokens. However, you requested {HUGE} tokens"), 400
    ),
    "an error whose counts have 5,000 digits": response(
        error(f"maximum context length is {'9' * 5000} tokens. However, you requested {'8' * 5000} tokens"), 400
    ),
    "a parameter that cannot be": response(
        error("Unsupported parameter: 'max\0tokens'", code="unsupported_parameter", param="max\0tokens"), 400
    ),
    "an error nested in errors": response(error('{"error": ' * 500), 400),
    "an error in lists": response(b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}", 400),
    "a status that nobody knows": response(reply(), 299),
    "a status beyond": response(error("x"), 799),
    "a redirect": response(b"", 302, {"location": "http://\0/"}),
    "no such gzip": response(b"", headers={"content-encoding": "gzip"}, coded=b"not gzip at all"),
    "half a gzip": response(b"", headers={"content-encoding": "gzip"}, coded=gzip.compress(b"x" * 10_000)[:20]),
    "gzip in gzip": response(
        b"",
        headers={"content-encoding": "gzip, gzip"},
        coded=gzip.compress(gzip.compress(b"\0" * 400_000_000, 9), 9),
    ),
    "an encoding that nobody knows": response(b"", headers={"content-encoding": "x\x80y"}, coded=b"?"),
    "no HTTP": b"\0\xff" * 100,
    "a status line alone": b"HTTP/1.1 200 OK\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999999999\r\n\r\n{}",
    "a length below zero": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n{}",
    "half a chunk": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n{}",
    "headers of a megabyte": b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: %s\r\n" % (at, b"y" * 10_000) for at in range(100)),
}  # fmt: skip
"""No answers: whether they cost something is another matter."""


class Provider:
    """Answers each request with the same bytes, and closes the connection."""

    def __init__(self) -> None:
        self.answer = b""

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # it has seen enough
        finally:
            writer.close()


@pytest.fixture
def before(engine: Engine, tmp_path: Path) -> Iterator[Callable[[bytes], Walk]]:
    """``before(answer)`` is a walk before a provider with that answer to everything."""
    with ExitStack() as stack:
        loop = stack.enter_context(LoopThread())
        transport = HttpTransport()
        stack.callback(lambda: loop.run(transport.close()))
        provider = Provider()
        url = loop.run(provider.start())
        stack.callback(lambda: loop.run(provider.stop()))
        services = Services(
            settings=load_settings(llm_url=url, call_deadline_s=20, spool=tmp_path / "spool"),
            database=Database(engine),
            registry=Registry(),
            publish=ignore,
            owner="test",
            caller=Caller(loop=loop, transport=transport),
        )

        def make(answer: bytes) -> Walk:
            provider.answer = answer
            return Walk(engine, services)

        yield make


def ends(walk: Walk) -> Any:
    """The job, which has ended or waits for a reason, with its calls all closed and none in a spool."""
    job = walk.to_the_end(walk.submit())
    assert job.state in ("done", "needs_review", "failed", "held")
    if job.state != "done":
        assert job.failure or job.history
    assert {call.state for call in walk.calls(job.id)} <= {"answered", "failed", "surplus"}
    assert not list(walk.services.spool.glob("**/*"))
    return job


@pytest.mark.parametrize("name", PAID)
def test_an_odd_reply_is_kept_with_what_it_cost(before: Callable[[bytes], Walk], name: str) -> None:
    walk = before(PAID[name])
    job = ends(walk)
    for call in walk.calls(job.id):
        assert (call.state, call.input_tokens, call.output_tokens) == ("answered", 100, 20)
        assert call.cost_usd > 0


@pytest.mark.parametrize("name", UNCOUNTED)
def test_figures_that_make_no_sense_are_unknown(before: Callable[[bytes], Walk], name: str) -> None:
    walk = before(UNCOUNTED[name])
    job = ends(walk)
    for call in walk.calls(job.id):
        counts = (call.input_tokens, call.cached_tokens, call.output_tokens, call.reasoning_tokens)
        assert all(count is None or 0 <= count <= 100 for count in counts)
        assert call.cost_usd is None or call.cost_usd < 1


@pytest.mark.parametrize("name", BROKEN)
def test_no_answer_is_a_failed_call(before: Callable[[bytes], Walk], name: str) -> None:
    walk = before(BROKEN[name])
    job = ends(walk)
    assert all(call.state == "failed" or name == "a status that nobody knows" for call in walk.calls(job.id))
