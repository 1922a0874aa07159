"""HEAD, on every address that can be looked at: what GET answers, without the body."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Heads"]


class Heads:
    """Asks with GET for who asks with HEAD, and leaves once the headers are there: an answer may have no end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        answered, all_came = asyncio.Event(), False

        async def receiving() -> Message:
            nonlocal all_came
            if not all_came:
                message = await receive()
                all_came = not message.get("more_body", False)
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def sending(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
            elif not answered.is_set():
                answered.set()
                await send({"type": "http.response.body"})

        await self.app({**scope, "method": "GET"}, receiving, sending)
