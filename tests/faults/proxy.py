"""A TCP proxy that can fall silent, as a network does when a firewall swallows its packets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

__all__ = ["Proxy", "Target"]

Target: TypeAlias = Path | tuple[str, int]
"""A Unix socket, or host and port."""
Mode: TypeAlias = Literal["open", "silent", "closed"]


class Proxy:
    """Listens at ``port`` of loopback and passes bytes on to ``target``, on a thread of its own.

    ``silent``: connections are taken and stay open, and nothing passes. ``closed``: they are reset. Whatever
    was open ends with each change, as it does when the network's memory of it is gone.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.mode: Mode = "open"
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._ends: set[_End] = set()

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._server.close)
        self._call(self._cut)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def fall_silent(self) -> None:
        self.mode = "silent"

    def close(self) -> None:
        self.mode = "closed"
        self._call(self._cut)

    def mend(self) -> None:
        """What was open is reset; who connects from now on is served, and be it at once."""
        self._call(self._open)

    def lead_to(self, target: Target) -> None:
        """From now on to another server."""
        self.target = target
        self._call(self._cut)

    def _call(self, function: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            function()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(10)

    def _open(self) -> None:
        # In one step: who is reset may be back before another thread has its turn, and would meet silence for good.
        self._cut()
        self.mode = "open"

    def _cut(self) -> None:
        for end in list(self._ends):
            end.transport.abort()

    async def _listen(self) -> int:
        self._server = await self._loop.create_server(lambda: _Caller(self), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def connect(self, caller: _End) -> None:
        try:
            if isinstance(self.target, Path):
                _, made = await self._loop.create_unix_connection(lambda: _End(self, caller), str(self.target))
            else:
                _, made = await self._loop.create_connection(lambda: _End(self, caller), *self.target)
        except OSError:
            caller.transport.abort()
            return
        caller.meet(made)


class _End(asyncio.Protocol):
    """One of the two connections of a pair."""

    transport: asyncio.Transport

    def __init__(self, proxy: Proxy, peer: _End | None = None) -> None:
        self.proxy = proxy
        self.peer = peer
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.proxy._ends.add(self)

    def meet(self, peer: _End) -> None:
        self.peer = peer
        for data in self._early:
            peer.transport.write(data)
        self._early.clear()

    def data_received(self, data: bytes) -> None:
        if self.proxy.mode != "open":
            return
        if self.peer is None:
            self._early.append(data)
        else:
            self.peer.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.proxy._ends.discard(self)
        if self.peer is not None and self.proxy.mode != "silent":
            self.peer.transport.close()


class _Caller(_End):
    """Who connected to us; the other side is connected to next."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.proxy.mode == "closed":
            self.transport.abort()
        elif self.proxy.mode == "open":
            self._connecting = self.proxy._loop.create_task(self.proxy.connect(self))
