"""How a process reaches others: models that it calls, and services that it tells of what happened."""

from __future__ import annotations

from dataclasses import dataclass

from docmill.llm.loop import LoopThread
from docmill.llm.transport import Transport
from docmill.net.webhook import Teller
from docmill.tracing import Tracer

__all__ = ["Caller", "Telling"]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """How calls to models are made: on one loop thread a process."""

    loop: LoopThread
    transport: Transport
    tracer: Tracer | None = None


@dataclass(frozen=True, kw_only=True)
class Telling:
    """How other services are told of what happened: on a loop apart from that of paid calls, as strangers' name
    servers and receivers may keep it waiting.
    """

    loop: LoopThread
    teller: Teller
