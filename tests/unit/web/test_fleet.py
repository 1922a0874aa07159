"""Starting jobs after submits, on a thread of its own."""

from __future__ import annotations

import threading

from sqlalchemy.exc import OperationalError

from web.fleet import Starter, running


def test_every_wake_is_followed_by_a_start() -> None:
    started = threading.Semaphore(0)

    def start() -> bool:
        started.release()
        return True

    with running(Starter(start)) as starter:
        for _ in range(3):
            starter.wake()
            assert started.acquire(timeout=10)


def test_a_failure_ends_neither_the_thread_nor_the_stop() -> None:
    tried = threading.Event()

    def start() -> bool:
        tried.set()
        raise OperationalError("select", {}, Exception("away"))

    with running(Starter(start)) as starter:
        starter.wake()
        assert tried.wait(timeout=10)
