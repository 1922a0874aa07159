"""A webhook that is told of budgets, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Collection, Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db.database import Database
from docmill.errors import Misconfigured
from docmill.llm.loop import LoopThread
from docmill.net.webhook import NotTold, Teller
from docmill.settings import load_settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.services import Services, Telling
from tasks.upkeep.alerts import Alarm
from tests.receiver import Receiver, always, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver()) as made:
        yield made


def tell(url: str, event: Any, *, private_hosts: Collection[str]) -> None:
    async def told() -> None:
        teller = Teller(private_hosts=private_hosts)
        try:
            await teller.tell(url, json.dumps(event).encode())
        finally:
            await teller.close()

    asyncio.run(told())


def test_an_event_arrives_where_the_host_is_named(receiver: Receiver) -> None:
    tell(receiver.url, {"event": "x"}, private_hosts={"127.0.0.1"})
    assert [each.said for each in receiver.taken] == [{"event": "x"}]


def test_a_redirect_is_not_followed_and_a_refusal_is_told(receiver: Receiver) -> None:
    for status in (302, 307, 500, 404):
        receiver.answer = always(status)
        with pytest.raises(NotTold, match=f"answered {status}"):
            tell(receiver.url, {}, private_hosts={"127.0.0.1"})
    assert receiver.refused == 4


def test_a_private_address_is_not_called(receiver: Receiver) -> None:
    with pytest.raises(Misconfigured):
        tell(receiver.url, {}, private_hosts=())
    with pytest.raises(NotTold, match="not on the internet"):
        tell(f"https://localhost:{receiver.port}/hook", {}, private_hosts=())
    assert receiver.taken == []


def test_a_budget_is_told_once_a_threshold_and_again_where_it_was_refused(
    engine: Engine, receiver: Receiver
) -> None:
    subject = uuid4().hex[:8]
    receiver.answer = lambda came: 500 if came == 0 else 204
    with engine.begin() as connection:
        connection.execute(text("update budgets set told = warned"))
        connection.execute(
            text(
                "insert into budgets (scope, subject, span, policy, cap_usd, window_start, warned)"
                " values ('tenant', :subject, 'day', 'hold', 1, clock_timestamp(), 80)"
            ),
            {"subject": subject},
        )

    def told() -> list[tuple[str, int]]:
        found = [each.said for each in receiver.taken]
        return [(each["event"], each["percent"]) for each in found if each["subject"] == subject]

    def again(**changes: int) -> None:
        """A minute later, and perhaps with another threshold reached."""
        with engine.begin() as connection:
            connection.execute(
                text(
                    "update budgets set tell_at = clock_timestamp(), warned = coalesce(:warned, warned)"
                    " where subject = :subject"
                ),
                {"subject": subject, "warned": changes.get("warned")},
            )

    def look_until_told(alarm: Alarm, expected: list[tuple[str, int]]) -> None:
        give_up_at = time.monotonic() + 20
        while told() != expected:
            assert time.monotonic() < give_up_at
            alarm.look()
            time.sleep(0.02)

    settings = load_settings(budget_webhook=receiver.url, webhook_hosts="127.0.0.1")
    with LoopThread() as loop:
        teller = Teller(private_hosts=settings.private_webhook_hosts)
        services = Services(
            settings=settings, database=Database(engine), registry=Registry([BUILT_IN]), publish=lambda _: None, owner="test",
            telling=Telling(loop=loop, teller=teller),
        )  # fmt: skip
        alarm = Alarm(services=services)
        alarm.look()
        while not receiver.refused:
            time.sleep(0.01)
        again()
        look_until_told(alarm, [("budget_nearly_spent", 80)])
        again(warned=100)
        look_until_told(alarm, [("budget_nearly_spent", 80), ("budget_spent", 100)])
        for _ in range(3):
            again()
            alarm.look()
        loop.run(teller.close())
    assert len(told()) == 2
