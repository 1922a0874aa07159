"""The clients of a process: each is made here, and closed when its stack ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvloop

from docmill.llm.cache import TwoLayerCache
from docmill.llm.limiter import RedisLimiter
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.net.webhook import Teller
from docmill.settings import Settings
from docmill.tracing import OtelTracer, Tracer
from tasks.services import Caller, Telling

__all__ = ["make_caller", "make_telling", "make_tracer", "open_cache", "open_caller", "open_limiter"]


@contextmanager
def open_cache(settings: Settings) -> Iterator[TwoLayerCache]:
    """Opens the answers that are remembered, and closes them."""
    cache = TwoLayerCache(settings.need("cache_url"))
    try:
        yield cache
    finally:
        cache.close()


@contextmanager
def open_limiter(settings: Settings, *, owner: str = "") -> Iterator[RedisLimiter]:
    """Opens the limits that the fleet shares, and closes them; ``owner`` names a process that makes calls."""
    limiter = RedisLimiter(settings.need("cache_url"), owner=owner)
    try:
        yield limiter
    finally:
        limiter.close()


@contextmanager
def open_caller() -> Iterator[Caller]:
    """Opens the loop on which models are called, without anything else of a stack."""
    with ExitStack() as stack:
        yield make_caller(stack)


def make_caller(stack: ExitStack, tracer: Tracer | None = None) -> Caller:
    """Makes the loop on which models are called, which the stack closes."""
    loop = stack.enter_context(LoopThread(uvloop.new_event_loop))
    transport = HttpTransport()
    stack.callback(lambda: loop.run(transport.close()))
    return Caller(loop=loop, transport=transport, tracer=tracer)


def make_tracer(stack: ExitStack, settings: Settings, owner: str) -> Tracer | None:
    """Makes what is told of spans; None where nobody is to be.

    Raises Misconfigured where OpenTelemetry is missing.
    """
    if settings.traces_url is None:
        return None
    tracer = OtelTracer(settings.traces_url, owner=owner, content=settings.trace_content)
    stack.callback(tracer.close)
    return tracer


def make_telling(stack: ExitStack, settings: Settings) -> Telling:
    """Makes what tells webhooks, on asyncio's own loop.

    That one looks names up in threads of its own: uvloop's share one pool in a process.
    """
    loop = stack.enter_context(LoopThread())
    teller = Teller(private_hosts=settings.private_webhook_hosts)
    stack.callback(lambda: loop.run(teller.close()))
    return Telling(loop=loop, teller=teller)
