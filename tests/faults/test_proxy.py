"""The lab's own proxy: a repair must be one, or what is measured after it is the lab's fault."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy

WITHIN_S = 5.0
TIMES = 50


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer(caller: socket.socket) -> None:
            with caller:
                while data := caller.recv(100):
                    caller.sendall(data)

        def serve() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:  # the test is over
                    return
                threading.Thread(target=answer, args=(caller,), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def _says(caller: socket.socket) -> bytes:
    caller.sendall(b"there?")
    return caller.recv(100)


def test_who_comes_back_at_once_after_a_silence_is_served(echo: tuple[str, int]) -> None:
    with Proxy(echo) as proxy:
        for _ in range(TIMES):
            with socket.create_connection(("127.0.0.1", proxy.port), WITHIN_S) as caller:
                assert _says(caller) == b"there?"
                proxy.fall_silent()
                mending = threading.Thread(target=proxy.mend)
                mending.start()
                assert caller.recv(100) == b""
            with socket.create_connection(("127.0.0.1", proxy.port), WITHIN_S) as again:
                assert _says(again) == b"there?"
            mending.join()
