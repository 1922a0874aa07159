"""The io workers' pool: a loop that sleeps hears of a thread that is free again."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu.asynchronous import Hub

from workers.pool import ThreadPool


@pytest.fixture
def hub() -> Iterator[Any]:
    """A loop with a socket on which nothing happens, and without an hour at which it would wake by itself."""
    reader, writer = os.pipe()
    made: Callable[[], Any] = Hub
    hub = made()
    hub.add_reader(reader, lambda: None)
    poll = hub.poller.poll
    hub.poller.poll = lambda _timeout: poll(60)
    yield hub
    hub.close()
    os.close(reader)
    os.close(writer)


def test_the_end_of_a_task_wakes_the_loop(hub: Any) -> None:
    pool, may_end, woke = ThreadPool(limit=1), threading.Event(), threading.Event()
    pool.register_with_event_loop(hub)

    def turn() -> None:
        next(hub.create_loop())
        woke.set()

    pool.apply_async(may_end.wait, callback=lambda _: None)
    threading.Thread(target=turn, daemon=True).start()
    try:
        assert not woke.wait(0.3)
    finally:
        may_end.set()
    assert woke.wait(5)
    pool.stop()
