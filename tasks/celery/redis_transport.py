"""kombu's transports for Redis, Valkey and their Sentinels, made cheap where docmill's workers spend their time.

They take messages by the handful, keep the client that they publish with, and register a socket once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty
from time import monotonic
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.exceptions import NoPermissionError, ResponseError

__all__ = ["MOST_AT_ONCE", "Transport", "register"]

log = structlog.get_logger()

NO_MESSAGE = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What bytes raise that something else than kombu put into a queue; none says that the connection broke."""
MOST_AT_ONCE = 16
"""Messages that one worker takes in one round trip, so that none leaves the others without."""


class KeepsClient:
    """A channel of kombu's that publishes with one client.

    kombu makes one for each message, which takes a fifth of the time that a publish takes. It is safe for threads,
    and has its connections from the channel's pool.
    """

    pool: Any
    _create_client: Any
    _kept: Any = None

    @contextmanager
    def conn_or_acquire(self, client: Any = None) -> Iterator[Any]:
        yield self._publishing() if client is None else client

    def _publishing(self) -> Any:
        """After a fork, or a lost connection, a channel has a new pool."""
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = self._create_client()
        return self._kept


class TakesHandfuls:
    """A channel of kombu's that takes as many messages in one round trip as its worker has slots free.

    None is taken beforehand, and the queues' order holds: a handful is of the first queue that has any. BLMPOP
    does it, from Redis 7 on; of an older server, or one that forbids it, messages are taken one by one.
    """

    qos: Any
    client: Any
    connection: Any
    connection_errors: Any
    conn_or_acquire: Any
    active_queues: Any
    priority_steps: Any
    global_keyprefix: str
    sep: str
    _queue_cycle: Any
    _q_for_pri: Any
    _flush_brpop_reauth: Any
    _in_poll: Any
    _brpop_sent_at: Any
    _by_handful = True
    _asked_for_handful = False

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Asks for messages; the answer comes when there are any, or when the timeout is over."""
        self._asked_for_handful = self._by_handful
        if not self._by_handful:
            super()._brpop_start(timeout)  # type: ignore[misc] # of the class that this is added to
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        keys = [
            f"{self.global_keyprefix}{self._q_for_pri(queue, step)}"
            for step in self.priority_steps
            for queue in queues
        ]
        connection = self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        wait_s = self.connection.brpop_timeout if timeout is None else timeout
        connection.send_command("BLMPOP", wait_s, len(keys), *keys, "RIGHT", "COUNT", self._room())

    def _room(self) -> int:
        room = self.qos.can_consume_max_estimate()
        return MOST_AT_ONCE if room is None else max(1, min(room, MOST_AT_ONCE))

    def _brpop_read(self, **options: Any) -> bool:
        """Delivers what came. What cannot even be a message is dropped: kombu would let it end the worker."""
        if not self._asked_for_handful:
            try:
                return bool(super()._brpop_read(**options))  # type: ignore[misc]
            except NO_MESSAGE as error:
                return _dropped(error)
        try:
            key, items = self._handful()
            self._deliver(bytes_to_str(key).removeprefix(self.global_keyprefix), items)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # the connection is idle now, which is when kombu does so

    def _handful(self) -> tuple[Any, Sequence[Any]]:
        """A queue's key, and messages of it, the oldest first. Raises Empty where there are none."""
        try:
            reply = self.client.parse_response(self.client.connection, "BLMPOP")
        except self.connection_errors:
            self.client.connection.disconnect()  # so that the next round connects anew
            raise
        except ResponseError as error:
            if not isinstance(error, NoPermissionError) and "unknown command" not in str(error):
                raise
            log.info("messages_taken_one_by_one", why=str(error))
            self._by_handful = False
            raise Empty from error
        if not reply:
            raise Empty
        key, items = reply
        return key, items

    def _deliver(self, key: str, items: Sequence[Any]) -> None:
        """Slots may have been taken since the question, by countdowns that ended: what has none goes back."""
        queue = key.rsplit(self.sep, 1)[0]
        self._queue_cycle.rotate(queue)
        for at, item in enumerate(items):
            if at and not self.qos.can_consume():
                with self.conn_or_acquire() as client:
                    client.rpush(key, *reversed(items[at:]))
                return
            try:
                self.connection.deliver(loads(bytes_to_str(item)), queue)
            except NO_MESSAGE as error:
                _dropped(error)


def _dropped(error: Exception) -> bool:
    log.error("message_dropped", why=type(error).__name__)
    return True


class RegistersOnce:
    """A transport of kombu's that tells the worker's loop of a socket when there is one, and not in each round."""

    _deliver: Any

    def deliver(self, message: Any, queue: str) -> None:
        """Hands a message to who consumes the queue; where nobody does any more, it goes back."""
        self._deliver(message, queue)

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        before = set(loop.on_tick)
        super().register_with_event_loop(connection, loop)  # type: ignore[misc]
        transport: Any = self
        cycle, on_readable = transport.cycle, transport.on_readable

        def look() -> None:
            cycle.on_poll_start()
            for file in cycle.fds:
                if loop.readers.get(file) != (on_readable, (file,)):
                    loop.add_reader(file, on_readable, file)

        loop.on_tick.difference_update(set(loop.on_tick) - before)
        loop.on_tick.add(look)


class Channel(KeepsClient, TakesHandfuls, redis.Channel):
    """A channel to one server."""


class Transport(RegistersOnce, redis.Transport):
    """For ``redis://``, ``rediss://`` and ``redis+socket://``."""

    Channel = Channel


class SentinelChannel(KeepsClient, TakesHandfuls, redis.SentinelChannel):
    """A channel to the server that Sentinels name."""


class SentinelTransport(RegistersOnce, redis.SentinelTransport):
    """For ``sentinel://``."""

    Channel = SentinelChannel


def register() -> None:
    """Makes kombu take these for such addresses, in the whole process, from its next connection on."""
    made = {"redis": Transport, "rediss": Transport, "sentinel": SentinelTransport}
    TRANSPORT_ALIASES.update({scheme: f"{__name__}:{each.__name__}" for scheme, each in made.items()})
