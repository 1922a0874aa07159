"""What Flower is told of a task, over a broker that may go away."""

from __future__ import annotations

from typing import NoReturn

import pytest
from amqp.exceptions import AMQPError, ConnectionForced, MessageNacked, RecoverableConnectionError
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisAway

from tasks.celery.events import Events

AWAY = (
    RecoverableConnectionError("Socket closed"),
    ConnectionForced("shutdown"),
    AMQPError("odd"),
    MessageNacked(),
    OperationalError("refused"),
    RedisAway("refused"),
    BrokenPipeError(),
)


class Away:
    """An application whose broker is away, in the broker's own words."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def producer_or_acquire(self) -> NoReturn:
        raise self.error


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_task_is_done_whether_anybody_hears_of_it_or_not(error: Exception) -> None:
    events = Events(app=Away(error), request={"id": "a"}, name="docmill.store", dispatcher=None, wanted=True)
    events.tell("task-started")
    events.flush()
