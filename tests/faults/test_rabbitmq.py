"""RabbitMQ for a broker: quorum queues, with countdowns that come again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.faults.conftest import a_lab
from tests.faults.lab import Lab
from tests.faults.report import keep

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def rabbit() -> Iterator[Lab]:
    with a_lab(rabbitmq=True) as running:
        yield running


def test_countdowns_come_again_and_again(rabbit: Lab) -> None:
    run = rabbit.trial("R1", "RabbitMQ: three of ten calls answered with 429, so that countdowns repeat")
    rabbit.simulate("--latency-ms", "300", "--fault", "rate_limited=0.3")
    run.submit()
    row = run.finish(within_s=250)
    lost = run.count("drives", "cause = 'countdown lost'")
    assert run.count("calls", "try >= 2") > 0, "some job must have waited twice"
    assert lost == 0, "RabbitMQ drops what it takes for a cycle"
    keep(row)


def test_the_server_is_killed(rabbit: Lab) -> None:
    run = rabbit.trial("R5", "RabbitMQ: kill -9 of the server, with countdowns pending")
    rabbit.simulate("--latency-ms", "300", "--fault", "rate_limited=0.3")
    run.submit()
    run.until_answered(0.2)
    run.until(lambda: run.count("jobs", "wait = 'countdown'") > 5, 60)
    rabbit.kill_server("rabbitmq")
    time.sleep(3)
    rabbit.repair("rabbitmq")
    run.repaired()
    keep(run.finish(within_s=250))


def test_the_server_falls_silent(rabbit: Lab) -> None:
    run = rabbit.trial("R9", "RabbitMQ: nothing passes to or from it for 60 s")
    rabbit.simulate("--latency-ms", "300")
    run.submit()
    run.until_answered(0.2)
    rabbit.broker.fall_silent()
    time.sleep(60)
    rabbit.broker.mend()
    run.repaired()
    keep(run.finish(within_s=250))


def test_messages_come_twice(rabbit: Lab) -> None:
    run = rabbit.trial("R18", "RabbitMQ: a fifth of all messages twice")
    rabbit.simulate("--latency-ms", "300")
    run.submit()
    doubled = run.double(seed=18)
    assert doubled > len(run.jobs) // 5
    keep(run.finish(within_s=200))


def test_workers_are_killed(rabbit: Lab) -> None:
    run = rabbit.trial("R2", "RabbitMQ: kill -9 of whole workers: io, cpu, io")
    rabbit.simulate("--latency-ms", "500")
    run.submit()
    for share, name in ((0.2, "io-1"), (0.4, "cpu-1"), (0.6, "io-2")):
        run.until_answered(share)
        run.until_made_again()
        run.until_at_work(name)
        rabbit.kill(name)
    keep(run.finish(within_s=200, paid_twice=True))
