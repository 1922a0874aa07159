"""Two thousand ends, told to a receiver that is away, breaks and is slow, by workers that are killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.receiver import Receiver, always, receiving, slow
from tests.stack import COMMAND, RunningStack, receipts

ENDS = 2000


def add_webhook(stack: RunningStack, url: str) -> Verifier:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DOCMILL_")}
    made = subprocess.run(
        [*COMMAND, "webhooks", "add", url, "--events", "job.ended", "--data", str(stack.data), "--json"],
        env={**env, "DOCMILL_WEBHOOK_HOSTS": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return Verifier(json.loads(made.stdout)["secret"])


def delivered(stack: RunningStack) -> int:
    return int(stack.query("select count(*) as n from webhook_deliveries where state = 'delivered'")[0].n)


@pytest.mark.slow
def test_every_end_is_told(
    start: Callable[..., RunningStack], record_property: Callable[[str, object], None]
) -> None:
    with receiving(Receiver()) as receiver:
        pass
    stack = start("--latency-ms", "5", io_workers=2, DOCMILL_WEBHOOK_HOSTS="127.0.0.1")
    verifier = add_webhook(stack, receiver.url)
    texts = receipts(ENDS // 10)
    for _ in range(10):
        stack.submit(texts, "receipt")
    stack.until(lambda: stack.query("select count(*) as n from webhook_deliveries")[0].n > ENDS // 10, 120)
    stack.kill("io-1")
    receiver.answer = always(500)
    with receiving(receiver):
        stack.until(lambda: receiver.refused > 50, 60)
        receiver.answer = slow(0.3)
        stack.until(lambda: len(receiver.taken) > 50, 120)
        stack.kill("io-2")
        stack.until(lambda: len(receiver.taken) > 200, 120)
        receiver.answer = always(204)
        stack.kill("io-1")
        stack.until_all_end(240)
        stack.until(lambda: delivered(stack) == ENDS, 300)
    assert set(receiver.told()) == {("job.ended", job) for job in stack.jobs}
    messages: dict[str, Any] = {}
    for taken in receiver.taken:
        said: Any = verifier.verify(taken.body, dict(taken.headers))
        assert messages.setdefault(taken.headers["webhook-id"], said) == said
    assert len(messages) == ENDS
    record_property("twice", len(receiver.taken) - ENDS)
    record_property("refused", receiver.refused)
    record_property("tries", stack.query("select max(tries) as n from webhook_deliveries")[0].n)
    time.sleep(2)
    assert delivered(stack) == ENDS
