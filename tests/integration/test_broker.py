"""Chains to the broker; one that began anew is noticed by one of those who ask, and what was under way is sent again."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from uuid import uuid4

import kombu
import pytest
import redis
from celery import Celery, Task
from celery._state import _task_stack
from celery.exceptions import QueueNotFound
from kombu import transport
from sqlalchemy import Engine, text

from db import dispatch
from db.jobs import Drive
from db.submit import Submission, submit
from db.transitions import STATE_OF, Wait
from docmill.settings import load_settings
from tasks.celery import broker, redis_transport
from tasks.celery.drive import PublishFailed
from tasks.chain import TASKS, publish, signatures_of
from workers.stack.servers import EmbeddedServers


@pytest.fixture
def celery(servers: EmbeddedServers) -> Iterator[Celery]:
    app = broker.connect(load_settings(broker_url=servers.broker_url))
    yield app
    app.close()


def test_one_is_told_that_the_broker_began_anew(servers: EmbeddedServers, celery: Celery) -> None:
    broker.began_anew(celery)
    assert not broker.began_anew(celery)
    process = next(each for each in servers.processes if each.name == "broker")
    process.stop()
    assert not broker.began_anew(celery), "a broker that is away may still have everything"
    process.spawn()
    process.await_ready()
    assert broker.began_anew(celery)
    assert not broker.began_anew(celery)


def test_a_broker_that_lost_its_data_began_anew(servers: EmbeddedServers, celery: Celery) -> None:
    broker.began_anew(celery)
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        client.flushall()
    assert broker.began_anew(celery)


def test_chains_that_start_together_all_arrive_in_one_round_trip_each_with_its_stages(
    servers: EmbeddedServers, celery: Celery
) -> None:
    drives = [
        Drive(id=1, epoch=5, stage="validate", lane="bulk", quarantined=False),
        Drive(id=2, epoch=6, stage="validate", lane="bulk", quarantined=False),
        Drive(id=3, epoch=7, stage="store", lane="bulk", quarantined=False),
    ]
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        publish(drives[:1] + drives[2:])  # queues are declared
        client.delete("docmill:cpu.bulk", "docmill:bulk")
        before = reads(client)
        publish(drives)
        assert reads(client) - before <= 3, "a batch, the health of its connection, and the question itself"
        messages = [json.loads(each) for each in client.lrange("docmill:cpu.bulk", 0, -1)]
        (last,) = client.lrange("docmill:bulk", 0, -1)
        client.delete("docmill:cpu.bulk", "docmill:bulk")
    told = [json.loads(base64.b64decode(each["body"])) for each in messages]
    assert sorted(args for args, _, _ in told) == [[1, 5], [2, 6]]
    for _, _, embed in told:
        rest = [(each["task"], each["args"], each["options"]["queue"]) for each in reversed(embed["chain"])]
        assert [name for name, _, _ in rest] == [
            f"docmill.{name}" for name in ("context", "complete", "parse", "store")
        ]
        assert [queue for _, _, queue in rest] == ["bulk", "bulk", "cpu.bulk", "bulk"]
    assert json.loads(last)["headers"]["task"] == "docmill.store"


@pytest.mark.parametrize(("chained", "within"), [(True, False), (False, False), (False, True)])
def test_a_stages_message_is_the_one_that_celery_would_make(
    servers: EmbeddedServers, celery: Celery, chained: bool, within: bool
) -> None:
    first, *rest = signatures_of(Drive(id=7, epoch=2, stage="context", lane="bulk", quarantined=False))
    said = {"root_id": "root", "parent_id": "parent", "chain": rest[::-1]} if chained else {}
    celery.conf.task_send_sent_event = True
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        with heard(client) as event, running(TASKS["complete"]) if within else nullcontext():
            first.apply_async(**said)
            Task.apply_async(TASKS["context"], first.args, **{**first.options, **said})
            ours, celerys = event(), event()
        theirs, mine = (json.loads(each) for each in client.lrange("docmill:bulk", 0, -1))
        client.delete("docmill:bulk")
    assert json.loads(base64.b64decode(mine["body"])) == json.loads(base64.b64decode(theirs["body"]))
    assert told_of(mine["headers"]) == told_of(theirs["headers"])
    properties = {name: theirs["properties"][name] for name in ("delivery_info", "delivery_mode", "priority")}
    assert properties.items() <= mine["properties"].items()
    assert mine["properties"]["correlation_id"] == mine["headers"]["id"] != theirs["headers"]["id"]
    assert told_of(ours) == told_of(celerys)
    assert ours["uuid"] == mine["headers"]["id"]


@contextmanager
def running(task: Task) -> Iterator[None]:
    """As in a worker that runs a task, which publishes drives."""
    _task_stack.push(task)
    task.push_request(id="this", root_id="its root", called_directly=False)
    yield
    task.pop_request()
    _task_stack.pop()


def test_a_queue_that_does_not_stand_gets_no_message(celery: Celery) -> None:
    with pytest.raises(QueueNotFound):
        TASKS["context"].apply_async((7, 2), queue="nowhere")


OF_EACH_MESSAGE = ("id", "uuid", "root_id", "clock", "timestamp", "local_received")


def told_of(fields: dict[str, Any]) -> dict[str, Any]:
    """What is not the same in any two messages left out, and what says nothing."""
    own = fields.get("id") or fields.get("uuid")
    kept = {name: value for name, value in fields.items() if name not in OF_EACH_MESSAGE and value}
    return kept | {"root": "itself" if fields["root_id"] == own else fields["root_id"]}


@contextmanager
def heard(client: redis.Redis) -> Iterator[Callable[[], dict[str, Any]]]:
    """What comes as an event next."""
    with client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
        pubsub.psubscribe("*celeryev*")
        assert pubsub.get_message(timeout=5) is not None

        def following() -> dict[str, Any]:
            told = pubsub.get_message(timeout=5)
            assert told is not None
            found: dict[str, Any] = json.loads(base64.b64decode(json.loads(told["data"])["body"]))
            return found

        yield following


def reads(client: redis.Redis) -> int:
    """How often the server has read from its clients."""
    return int(client.info("stats")["total_reads_processed"])


def test_a_channel_keeps_its_client_as_long_as_its_pool(
    servers: EmbeddedServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "TRANSPORT_ALIASES", dict(transport.TRANSPORT_ALIASES))
    monkeypatch.setattr(transport, "_transport_cache", {})
    monkeypatch.setattr(redis_transport, "TRANSPORT_ALIASES", transport.TRANSPORT_ALIASES)
    redis_transport.register()
    options = {"global_keyprefix": "kept:"}
    with kombu.Connection(servers.broker_url, transport_options=options) as connection:  # type: ignore[no-untyped-call]
        channel = connection.default_channel
        queue = connection.SimpleQueue("kept")
        for each in range(3):
            queue.put(each)
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
            assert first.llen("kept") == 3
        channel._disconnect_pools()
        queue.put(3)
        with channel.conn_or_acquire() as third:
            assert third is not first
            assert third.llen("kept") == 4
        assert [queue.get(timeout=5).payload for _ in range(4)] == [0, 1, 2, 3]


def test_a_broker_that_is_away_takes_no_chain_and_says_so_at_once(
    servers: EmbeddedServers, celery: Celery
) -> None:
    """Also to a process that has published nothing yet."""
    drives = [Drive(id=each, epoch=1, stage="validate", lane="bulk", quarantined=False) for each in (1, 2)]
    process = next(each for each in servers.processes if each.name == "broker")
    process.stop()
    try:
        began = time.monotonic()
        with pytest.raises(PublishFailed) as caught:
            publish(drives)
        assert time.monotonic() - began < 3
        assert caught.value.taken == 0
    finally:
        process.spawn()
        process.await_ready()
    publish(drives)
    with redis.Redis.from_url(servers.broker_url.replace("redis+socket", "unix")) as client:
        assert client.llen("docmill:cpu.bulk") == len(drives)
        client.delete("docmill:cpu.bulk")


def test_what_was_under_way_is_sent_again_and_nothing_else(engine: Engine) -> None:
    tenant = uuid4().hex
    waits: tuple[Wait, ...] = ("sent", "running", "countdown", "unsent")
    with engine.connect() as connection:
        made = {
            wait: submit(connection, Submission(prompt="receipt", body=wait.encode(), tenant=tenant))
            for wait in waits
        }
        for wait, job in made.items():
            connection.execute(
                text(
                    "update jobs set wait = :wait, state = :state, stage = 'complete', redrives = 1 where id = :id"
                ),
                {"wait": wait, "state": STATE_OF[wait], "id": job},
            )
        drives = dispatch.run(connection, dispatch.SEND_AGAIN)
        ours = [drive for drive in drives if drive.id in made.values()]
        causes = list(
            connection.execute(text("select cause from drives where job_id = :id"), {"id": made["sent"]}).scalars()
        )
        redrives = connection.execute(
            text("select redrives from jobs where id = :id"), {"id": made["sent"]}
        ).scalar_one()
        connection.rollback()
    assert [drive.id for drive in ours] == [made["sent"]]
    assert causes == ["broker began anew"]
    assert redrives == 1, "the job did nothing wrong"
