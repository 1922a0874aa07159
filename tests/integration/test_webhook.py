"""A webhook that is told of budgets, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

from db.database import Database
from docmill.errors import Misconfigured
from docmill.llm.loop import LoopThread
from docmill.llm.transport import HttpTransport
from docmill.net.webhook import NotTold, tell
from docmill.settings import load_settings
from prompts import Registry
from prompts.registry import BUILT_IN
from tasks.services import Caller, Services
from tasks.upkeep.alerts import Alarm


class Receiver(HTTPServer):
    """Takes events, after as many refusals as are asked for."""

    refusals = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.server.refusals:
            self.server.refusals -= 1
            self.send_response(500)
        else:
            self.server.taken.append(json.loads(body))
            self.send_response(302) if self.path == "/elsewhere" else self.send_response(204)
        self.send_header("location", "/hook")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_an_event_arrives_where_the_host_is_named(receiver: Receiver) -> None:
    asyncio.run(tell(receiver.url, {"event": "x"}, private_hosts={"127.0.0.1"}))
    assert receiver.taken == [{"event": "x"}]


def test_a_redirect_is_not_followed_and_a_refusal_is_told(receiver: Receiver) -> None:
    for path, refusals in (("/elsewhere", 0), ("/hook", 1)):
        receiver.refusals = refusals
        with pytest.raises(NotTold, match="answered"):
            asyncio.run(tell(receiver.url.replace("/hook", path), {}, private_hosts={"127.0.0.1"}))
    assert len(receiver.taken) == 1


def test_a_private_address_is_not_called(receiver: Receiver) -> None:
    with pytest.raises(Misconfigured):
        asyncio.run(tell(receiver.url, {}, private_hosts=()))
    with pytest.raises(NotTold, match="not on the internet"):
        asyncio.run(tell(f"https://localhost:{receiver.server_port}/hook", {}, private_hosts=()))
    assert receiver.taken == []


def test_a_budget_is_told_once_a_threshold_and_again_where_it_was_refused(
    engine: Engine, receiver: Receiver
) -> None:
    subject = uuid4().hex[:8]
    receiver.refusals = 1
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
        return [(each["event"], each["percent"]) for each in receiver.taken if each["subject"] == subject]

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
        transport = HttpTransport()
        services = Services(
            settings=settings, database=Database(engine), registry=Registry([BUILT_IN]), publish=lambda _: None, owner="test",
            caller=Caller(loop=loop, transport=transport),
        )  # fmt: skip
        alarm = Alarm(services=services)
        alarm.look()
        while receiver.refusals:
            time.sleep(0.01)
        again()
        look_until_told(alarm, [("budget_nearly_spent", 80)])
        again(warned=100)
        look_until_told(alarm, [("budget_nearly_spent", 80), ("budget_spent", 100)])
        for _ in range(3):
            again()
            alarm.look()
        loop.run(transport.close())
    assert len(told()) == 2
