"""kombu's transports for Redis, Valkey and their Sentinels, which keep the client that they publish with.

kombu makes a client for each message, and that takes a fifth of the time that a publish takes. A client is safe
for threads, and has its connections from the channel's pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis

__all__ = ["SentinelTransport", "Transport", "register"]

log = structlog.get_logger()

NO_MESSAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What bytes raise that something else than kombu put into a queue; none says that the connection broke."""


class KeepsClient:
    """What is added to a channel of kombu's. After a fork, or a lost connection, a channel has a new pool."""

    pool: Any
    _create_client: Any
    _kept: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield self._publishing() if client is None else client

    def _brpop_read(self, **options: Any) -> Any:
        """Takes one message. What cannot even be one is dropped: kombu would let it end the worker."""
        try:
            return super()._brpop_read(**options)  # type: ignore[misc] # of the class that this is added to
        except NO_MESSAGE as error:
            log.error("message_dropped", why=type(error).__name__)
            return True

    def _publishing(self) -> Any:
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = self._create_client()
        return self._kept


class Channel(KeepsClient, redis.Channel):
    """A channel to one server."""


class Transport(redis.Transport):
    """For ``redis://``, ``rediss://`` and ``redis+socket://``."""

    Channel = Channel


class SentinelChannel(KeepsClient, redis.SentinelChannel):
    """A channel to the server that Sentinels name."""


class SentinelTransport(redis.SentinelTransport):
    """For ``sentinel://``."""

    Channel = SentinelChannel


def register() -> None:
    """Makes kombu take these for such addresses, in the whole process, from its next connection on."""
    made = {"redis": Transport, "rediss": Transport, "sentinel": SentinelTransport}
    TRANSPORT_ALIASES.update({scheme: f"{__name__}:{each.__name__}" for scheme, each in made.items()})
