"""Calls over real HTTP, to a server that answers byte by byte as each test wants."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from uuid import uuid4

import pytest

from docmill.errors import Failure, Misconfigured
from docmill.llm.client import Endpoint, Outcome, ask
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport, Response
from docmill.llm.types import Message, Request, Usage

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]

REQUEST = Request(model="sim-small", messages=(Message(role="user", content="Hello"),), max_output_tokens=10)
GOOD = {
    "id": "chatcmpl-1",
    "model": "sim-small-1",
    "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1},
}


def http(body: object, status: str = "200 OK", headers: str = "") -> bytes:
    content = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(content)}\r\n{headers}\r\n".encode() + content


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.lower().splitlines() if line.startswith(b"content-length")
        )
        body = await reader.readexactly(length)
        try:
            await answer(head + body, writer)
        except ConnectionError:
            pass  # the caller's deadline passed, and it hung up
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def call(answer: Answer, *, deadline_s: float = 10.0) -> Outcome:
    async with serving(answer) as url, HttpTransport() as transport:
        endpoint = Endpoint(provider="openai-compatible", base_url=url, key="k-1")
        return await ask(endpoint, REQUEST, call_id=uuid4(), transport=transport, deadline_s=deadline_s)


def says(content: bytes) -> Answer:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()

    return answer


def test_a_good_answer_comes_back_with_its_usage() -> None:
    outcome = asyncio.run(call(says(http(GOOD))))
    assert outcome.failure is None
    assert outcome.reply is not None
    assert outcome.answered
    assert (outcome.reply.text, outcome.reply.model_echoed) == ("Hi", "sim-small-1")
    assert outcome.reply.usage == Usage(input_tokens=9, output_tokens=1)


def test_the_request_carries_call_id_key_and_messages() -> None:
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(http(GOOD))

    call_id = uuid4()

    async def go() -> None:
        async with serving(answer) as url, HttpTransport() as transport:
            endpoint = Endpoint(provider="openai-compatible", base_url=url, key="k-1")
            await ask(endpoint, REQUEST, call_id=call_id, transport=transport)

    asyncio.run(go())
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert f"x-client-request-id: {call_id}".encode() in head.lower()
    assert b"bearer k-1" in head.lower()
    assert b"accept-encoding: gzip" in head.lower().split(b"\r\n"), "what else comes is refused"
    assert json.loads(body)["messages"] == [{"role": "user", "content": "Hello"}]


def test_what_a_server_sets_for_one_call_is_not_sent_with_the_next() -> None:
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(http(GOOD, headers="set-cookie: whose=the-first-accounts\r\n"))

    async def go() -> None:
        async with serving(answer) as url, HttpTransport() as transport:
            named = url.replace("127.0.0.1", "localhost")  # cookies of a bare number are nobody's
            for key in ("k-1", "k-2"):
                endpoint = Endpoint(provider="openai-compatible", base_url=named, key=key)
                await ask(endpoint, REQUEST, call_id=uuid4(), transport=transport)

    asyncio.run(go())
    assert [b"cookie" in request.lower() for request in seen] == [False, False]
    assert [key in seen[at] for at, key in enumerate((b"k-1", b"k-2"))] == [True, True]


def test_an_answer_without_end_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("docmill.llm.transport.LARGEST_BODY", 100_000)

    async def go() -> Outcome:
        gone = asyncio.Event()

        async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
            try:
                while True:
                    writer.write(bytes(100_000))
                    await writer.drain()
            except ConnectionError:
                gone.set()

        async with serving(answer) as url, HttpTransport() as transport:
            endpoint = Endpoint(provider="openai-compatible", base_url=url, key="k-1")
            outcome = await ask(endpoint, REQUEST, call_id=uuid4(), transport=transport)
            await asyncio.wait_for(gone.wait(), 30)
        return outcome

    outcome = asyncio.run(go())
    assert outcome.failure is not None
    assert outcome.failure.kind == "server_error"


def test_a_key_does_not_show_where_an_endpoint_is_printed() -> None:
    assert "k-1" not in repr(Endpoint(provider="openai", base_url="http://127.0.0.1", key="k-1"))


def test_a_rate_limit_brings_its_wait() -> None:
    error = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}
    outcome = asyncio.run(call(says(http(error, "429 Too Many Requests", "retry-after: 7\r\n"))))
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.retry_after_s) == ("rate_limited", 7.0)
    assert outcome.reply is None
    assert not outcome.answered


def test_an_answer_that_was_cut_off_is_a_failure_and_is_paid() -> None:
    cut = {**GOOD, "choices": [{"message": {"content": "H"}, "finish_reason": "length"}]}
    outcome = asyncio.run(call(says(http(cut))))
    assert outcome.failure is not None
    assert outcome.failure.kind == "truncated"
    assert outcome.answered


async def drip_headers(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    await drip(writer, b"x: 1\r\n")


async def drip_body(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    await drip(writer, b" ")


async def hang(request: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter, piece: bytes) -> None:
    while True:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("answer", [drip_headers, drip_body, hang])
def test_no_slowness_outlives_the_deadline(answer: Answer) -> None:
    outcome = asyncio.run(call(answer, deadline_s=0.3))
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert 300 <= outcome.latency_ms < 5000


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", b"nonsense\r\n\r\n"])
def test_a_broken_connection_is_a_failure(content: bytes) -> None:
    outcome = asyncio.run(call(says(content)))
    assert outcome.failure is not None
    assert outcome.failure.kind == "connection"


def test_where_nothing_answers_the_address_is_named() -> None:
    async def go() -> object:
        async with HttpTransport() as transport:
            return await transport.post("http://user:secret@127.0.0.1:1/v1", headers={}, body={}, deadline_s=5)

    failure = asyncio.run(go())
    assert isinstance(failure, Failure)
    assert failure.kind == "connection"
    assert "127.0.0.1:1" in failure.message
    assert "secret" not in failure.message


def test_threads_share_one_loop_and_exceptions_come_through() -> None:
    async def fail() -> None:
        raise ValueError("seen")

    with LoopThread() as loop:
        with pytest.raises(ValueError, match="seen"):
            loop.run(fail())
        assert loop.run(asyncio.sleep(0, "done")) == "done"


def test_a_redirect_is_an_answer_like_any_other() -> None:
    async def go() -> object:
        async with (
            serving(says(http({}))) as other,
            serving(says(http({}, "307 Moved", f"location: {other}\r\n"))) as url,
        ):
            return await posted(url, authorization="Bearer k-1")

    told = asyncio.run(go())
    assert isinstance(told, Response)
    assert told.status == 307


def test_a_packed_answer_is_opened() -> None:
    packed = gzip.compress(b'{"packed": true}')
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n".encode()

    async def go() -> object:
        async with serving(says(head + packed)) as url:
            return await posted(url)

    told = asyncio.run(go())
    assert isinstance(told, Response)
    assert told.body == {"packed": True}


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1"])
def test_a_proxy_that_is_none_is_told_at_once(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(Misconfigured, match="ALL_PROXY"):
        HttpTransport()


async def posted(url: str, **headers: str) -> object:
    async with HttpTransport() as transport:
        return await transport.post(url, headers=headers, body={}, deadline_s=10)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_asked_but_for_those_whom_the_environment_spares(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    asked: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(request.splitlines()[0])
        writer.write(http({"by": "proxy"}))

    async def go() -> list[object]:
        async with serving(answer) as proxy, serving(says(http({"by": "itself"}))) as spared:
            monkeypatch.setenv(variable, proxy)
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            return [await posted("http://models.example/v1"), await posted(f"{spared}/v1")]

    answers = asyncio.run(go())
    assert [isinstance(told, Response) and told.body for told in answers] == [{"by": "proxy"}, {"by": "itself"}]
    assert asked == [b"POST http://models.example/v1 HTTP/1.1"]


def test_a_name_and_a_password_in_the_address_are_sent_as_such() -> None:
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request.lower())
        writer.write(http({}))

    async def go() -> object:
        async with serving(answer) as url:
            return await posted(url.replace("://", "://me:secret@"), authorization="Bearer k-1")

    assert isinstance(asyncio.run(go()), Response)
    credentials = base64.b64encode(b"me:secret").lower()
    assert [line for line in seen[0].splitlines() if b"authorization" in line] == [
        b"authorization: basic " + credentials
    ]


def test_headers_may_be_long() -> None:
    outcome = asyncio.run(call(says(http(GOOD, headers=f"x-policy: {'a' * 60_000}\r\n"))))
    assert outcome.failure is None


@pytest.mark.parametrize("content", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{"])
def test_a_key_in_an_address_is_in_no_failure(content: bytes) -> None:
    async def go() -> list[object]:
        async with serving(says(content)) as url:
            return [await posted(f"{at}/v1?key=k-secret") for at in (url, "http://127.0.0.1:1")]

    for failure in asyncio.run(go()):
        assert isinstance(failure, Failure)
        assert failure.kind == "connection"
        assert "k-secret" not in failure.message


def test_a_request_may_be_large() -> None:
    seen: list[int] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(len(request))
        writer.write(http({}))

    async def go() -> object:
        async with serving(answer) as url, HttpTransport() as transport:
            return await transport.post(url, headers={}, body={"picture": "A" * 8_000_000}, deadline_s=30)

    assert isinstance(asyncio.run(go()), Response)
    assert seen[0] > 8_000_000


@asynccontextmanager
async def keeping_connections(
    answer: Callable[[bytes, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server that answers the bodies of one request after another on each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await answer(await reader.readexactly(length), writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*tasks)


def test_connections_are_kept_for_the_next_call() -> None:
    ports: set[int] = set()

    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        ports.add(writer.get_extra_info("peername")[1])
        writer.write(http({}))

    async def go() -> None:
        async with keeping_connections(answer) as url, HttpTransport() as transport:
            for _ in range(3):
                told = [transport.post(url, headers={}, body={}, deadline_s=10) for _ in range(5)]
                assert all(isinstance(each, Response) for each in await asyncio.gather(*told))

    asyncio.run(go())
    assert len(ports) == 5


@pytest.mark.parametrize("status", ["200 OK", "408 Request Timeout"])
def test_an_answer_that_nobody_asked_for_is_no_calls(status: str) -> None:
    """One that came late on a kept connection would shift all that follow, to other documents and accounts."""
    told_too_much = asyncio.Event()

    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(http({"to": json.loads(body)["call"]}))
        await writer.drain()
        if not told_too_much.is_set():
            await asyncio.sleep(0.05)  # until the first answer was read
            writer.write(http({"to": "nobody"}, status))
            await writer.drain()
            told_too_much.set()

    async def go() -> list[object]:
        async with keeping_connections(answer) as url, HttpTransport() as transport:
            first = await transport.post(url, headers={}, body={"call": 1}, deadline_s=10)
            await told_too_much.wait()
            return [first, await transport.post(url, headers={}, body={"call": 2}, deadline_s=10)]

    assert [isinstance(told, Response) and told.body for told in asyncio.run(go())] == [{"to": 1}, {"to": 2}]
