"""How long a connection may keep the server waiting: on an event loop whose clock can be set ahead."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from web.connections import BoundedProtocol

TURNS = 200
"""Of the loop: enough for whatever is due to be done."""


class SetAhead(asyncio.SelectorEventLoop):
    """A loop on which seconds pass when a test says so."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


async def answers_without_end(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    gone = asyncio.ensure_future(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not gone.done():
        await send({"type": "http.response.body", "body": b"x" * 2**16, "more_body": True})
        await asyncio.sleep(0)


async def answers_at_once(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    ("app", "said", "waits", "within_s"),
    [
        # Of an endless answer nothing is taken.
        (answers_without_end, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", lambda each: each.flow.write_paused, 60),
        # Headers have no end.
        (answers_at_once, b"GET / HTTP/1.1\r\nhost:", lambda each: each._header_bytes, 10),
        # The answer is there, and the request goes on.
        (
            answers_at_once,
            b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999\r\n\r\nx",
            lambda each: each.cycle is not None and each.cycle.response_complete,
            5,
        ),
    ],
    ids=["answer", "headers", "body"],
)
def test_whoever_keeps_the_server_waiting_is_waited_for_so_long(
    app: Any, said: bytes, waits: Callable[[Any], bool], within_s: float
) -> None:
    loop = SetAhead()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_kept_waiting(loop, app, said, waits, within_s))


async def _kept_waiting(
    loop: SetAhead, app: Any, said: bytes, waits: Callable[[Any], bool], within_s: float
) -> None:
    config = Config(app, http=BoundedProtocol, timeout_keep_alive=10_000, log_config=None)
    config.load()
    state, made = ServerState(), []

    def connected() -> BoundedProtocol:
        made.append(BoundedProtocol(config=config, server_state=state, app_state={}))
        return made[0]

    async with await loop.create_server(connected, "127.0.0.1", 0) as server:
        with socket.create_connection(server.sockets[0].getsockname()) as client:
            client.sendall(said)
            await _until(lambda: bool(made) and bool(waits(made[0])))
            loop.ahead_s += within_s * 0.9
            await _turns()
            assert not made[0].transport.is_closing(), "it has some seconds left"
            loop.ahead_s += within_s * 0.2
            await _turns()
            assert made[0].transport.is_closing()
    await _until(lambda: not state.tasks)


async def _turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never came to that")
