"""What each kind of broker is told; nothing is connected to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import Celery

from docmill.settings import load_settings
from tasks.celery.broker import connect, countdown_of
from tasks.queues import QUEUE_NAMES


@pytest.fixture(
    params=["redis://127.0.0.1:1/0", "rediss://127.0.0.1:1/0", "amqp://127.0.0.1:1//", "pyamqp://127.0.0.1:1//"]
)
def app(request: pytest.FixtureRequest) -> Iterator[Celery]:
    made = connect(load_settings(broker_url=request.param))
    yield made
    made.close()


def test_every_broker_has_the_same_queues(app: Celery) -> None:
    assert tuple(app.amqp.queues) == QUEUE_NAMES


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:1//", "pyamqp://127.0.0.1:1//"])
def test_rabbitmq_gets_quorum_queues_that_celerys_delays_can_find(url: str) -> None:
    app = connect(load_settings(broker_url=url))
    queues = list(app.amqp.queues.values())
    assert {queue.queue_arguments["x-queue-type"] for queue in queues} == {"quorum"}
    assert {queue.exchange.type for queue in queues} == {"topic"}
    # Bound as #.KEY, a key that is the end of another would get the other's messages, too.
    assert not [queue.routing_key for queue in queues if "." in queue.routing_key]
    assert app.conf.broker_transport_options["confirm_publish"]
    app.close()


@pytest.mark.parametrize(
    ("url", "seconds", "given"),
    [
        ("redis://127.0.0.1:1/0", 0.2, 0.2),
        ("amqp://127.0.0.1:1//", 0.2, 1),
        ("amqp://127.0.0.1:1//", 2.5, 3),
        ("amqp://127.0.0.1:1//", 3, 3),
    ],
)
def test_rabbitmq_counts_whole_seconds(url: str, seconds: float, given: float) -> None:
    app = connect(load_settings(broker_url=url))
    assert countdown_of(app, seconds) == given
    app.close()
