"""Messages taken by the handful, from a real server: never more than there are free slots, in the queues' order."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty
from typing import Any
from uuid import uuid4

import kombu
import pytest
import redis
from celery import Celery

from docmill.settings import load_settings
from tasks.celery import broker, redis_transport
from tasks.celery.redis_transport import MOST_AT_ONCE
from tests.fuzz.test_messages import GARBAGE, message
from workers.stack.servers import EmbeddedServers

FIRST, SECOND = "first-of-two", "second-of-two"


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kombu.transport, "TRANSPORT_ALIASES", dict(kombu.transport.TRANSPORT_ALIASES))
    monkeypatch.setattr(redis_transport, "TRANSPORT_ALIASES", kombu.transport.TRANSPORT_ALIASES)
    monkeypatch.setattr(kombu.transport, "_transport_cache", {})
    redis_transport.register()


@pytest.fixture
def server(servers: EmbeddedServers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        yield client
        client.delete(f"docmill:{FIRST}", f"docmill:{SECOND}")


class Taker:
    """What a worker's loop does, on one channel: slots, and what came."""

    def __init__(self, app: Celery, free: int) -> None:
        self.free, self.came, self.busy = free, list[Any](), 0
        self.connection = app.connection_for_read()
        self.channel: Any = self.connection.default_channel
        made: Any = kombu
        queues = [made.Queue(name, channel=self.channel) for name in (FIRST, SECOND)]
        self.consumer = made.Consumer(self.channel, queues, on_message=self.take)
        self.consumer.consume()
        self.channel.qos.can_consume = lambda: self.left > 0
        self.channel.qos.can_consume_max_estimate = lambda: self.left

    @property
    def left(self) -> int:
        return self.free - len(self.came) - self.busy

    def take(self, message: Any) -> None:
        self.came.append(message.headers["id"])

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            with suppress(Empty, TimeoutError):
                self.connection.drain_events(timeout=0.2)


@pytest.fixture
def taker(servers: EmbeddedServers, server: redis.Redis) -> Iterator[Callable[[int], Taker]]:
    app = broker.connect(load_settings(broker_url=servers.broker_url))
    made: list[Taker] = []

    def make(free: int) -> Taker:
        made.append(Taker(app, free))
        return made[-1]

    yield make
    for each in made:
        each.connection.close()
    app.close()


def put(server: redis.Redis, queue: str, number: int) -> list[str]:
    ids = [str(uuid4()) for _ in range(number)]
    for each in ids:
        server.lpush(f"docmill:{queue}", message(headers={"id": each}))
    return ids


def asked(server: redis.Redis, command: str) -> int:
    told: Any = server.info("commandstats")
    return int(told.get(f"cmdstat_{command}", {}).get("calls", 0))


@pytest.mark.parametrize("free", [1, 2, 5, MOST_AT_ONCE, 100])
def test_a_handful_is_as_many_as_there_are_free_slots_and_sixteen_at_most(
    server: redis.Redis, taker: Callable[[int], Taker], free: int
) -> None:
    ids = put(server, FIRST, 40)
    worker = taker(free)
    worker.look()
    taken = min(free, MOST_AT_ONCE)
    assert worker.came == ids[:taken]
    assert server.llen(f"docmill:{FIRST}") == 40 - taken
    worker.look(5)
    assert worker.came == ids[:free]
    assert server.llen(f"docmill:{FIRST}") == max(0, 40 - free)


def test_a_handful_is_one_round_trip(server: redis.Redis, taker: Callable[[int], Taker]) -> None:
    put(server, FIRST, 10)
    worker = taker(10)
    before = asked(server, "blmpop")
    worker.look()
    assert len(worker.came) == 10
    assert asked(server, "blmpop") - before == 1


def test_the_first_queue_goes_first_and_a_handful_is_of_one_queue(
    server: redis.Redis, taker: Callable[[int], Taker]
) -> None:
    later, sooner = put(server, SECOND, 20), put(server, FIRST, 3)
    worker = taker(30)
    worker.look()
    assert worker.came == sooner
    worker.look()
    assert worker.came == sooner + later[:MOST_AT_ONCE]
    sooner += put(server, FIRST, 2)
    worker.look()
    assert worker.came[-2:] == sooner[-2:]


def test_what_finds_no_slot_when_it_comes_goes_back_to_its_place(
    server: redis.Redis, taker: Callable[[int], Taker]
) -> None:
    """A countdown that ends takes a slot, after the worker has asked."""
    worker = taker(10)
    asking = threading.Thread(target=worker.look)
    asking.start()
    before = asked(server, "blmpop")
    while asked(server, "blmpop") == before and asking.is_alive():
        pass
    worker.busy = 7
    ids = _put_at_once(server, 10)
    asking.join()
    worker.look()
    assert worker.came == ids[:3]
    left = [json.loads(each)["headers"]["id"] for each in server.lrange(f"docmill:{FIRST}", 0, -1)]
    assert left == ids[:2:-1]


def _put_at_once(server: redis.Redis, number: int) -> list[str]:
    ids = [str(uuid4()) for _ in range(number)]
    server.lpush(f"docmill:{FIRST}", *[message(headers={"id": each}) for each in ids])
    return ids


def test_garbage_in_a_handful_harms_itself_alone(server: redis.Redis, taker: Callable[[int], Taker]) -> None:
    rubbish = [each for each in GARBAGE if b'"id"' not in each]
    ids = []
    for each in rubbish:
        server.lpush(f"docmill:{FIRST}", each)
        ids += put(server, FIRST, 1)
    worker = taker(1000)
    worker.look(len(rubbish))
    assert [each for each in worker.came if each is not None and each in ids] == ids
    assert not server.llen(f"docmill:{FIRST}")


def test_a_server_without_handfuls_is_asked_for_one_by_one(
    server: redis.Redis, taker: Callable[[int], Taker]
) -> None:
    ids = put(server, FIRST, 3)
    may: Any = server
    may.execute_command("ACL", "SETUSER", "default", "-blmpop")
    try:
        worker = taker(10)
        worker.look(5)
        assert worker.came == ids
    finally:
        may.execute_command("ACL", "SETUSER", "default", "+blmpop")
    assert not worker.channel._by_handful


def test_a_connection_that_is_cut_while_it_waits_is_made_anew(
    server: redis.Redis, taker: Callable[[int], Taker]
) -> None:
    worker = taker(10)
    worker.look()
    cut: socket.socket = worker.channel.client.connection._sock
    cut.shutdown(socket.SHUT_RDWR)
    with pytest.raises(worker.channel.connection_errors):
        worker.look(3)
    ids = put(server, FIRST, 2)
    again = taker(10)
    again.look(2)
    assert again.came == ids
