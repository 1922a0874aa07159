"""A message that is none harms itself at most: the workers drop it, tell of it, and go on.

The broker is not ours alone: whoever can write into its queues must stop no worker, whatever stands there.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import uuid4

import psutil
import pytest
import redis
from sqlalchemy import text

from db.submit import Submission, submit
from tasks.queues import QUEUE_NAMES
from tests.fuzz.examples import TIMES
from tests.fuzz.hostile import NUMBERS, TEXTS, nested
from tests.stack import RunningStack, data, receipts, start

__all__ = ["data", "start"]

MADE_UP = 60 * TIMES
SERVED = tuple(queue for queue in QUEUE_NAMES if queue != "ocr")
"""Where nobody submits a scan, OCR's worker stands by and takes nothing."""
ARGS: list[Any] = [[1, 1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]


def message(body: bytes = b"", headers: object = None, changes: Mapping[str, object] | None = None) -> bytes:
    """As kombu puts it into Redis, with something else in it."""
    properties = {
        "correlation_id": "0",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "bulk"},
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    whole = {
        "body": base64.b64encode(body or json.dumps(ARGS).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": task() if headers is None else headers,
        "properties": properties,
    }
    return json.dumps(whole | dict(changes or {})).encode()


def task(**changes: object) -> Mapping[str, object]:
    return {"lang": "py", "task": "docmill.complete", "id": str(uuid4()), "retries": 0, **changes}


GARBAGE = (
    b"\x80\xffgarbage",
    b"",
    b"[]",
    b"17",
    b"null",
    b"{}",
    b"[" * 100_000,
    b'{"properties": 7}',
    b'{"properties": {"delivery_tag": null}, "body": 1, "headers": []}',
    message(changes={"properties": None}),
    message(body=b"\xff\0"),
    message(body=b"[[1, 1]"),
    message(body=b"{}"),
    message(body=json.dumps([["x", {}], {}, {}]).encode()),
    message(body=json.dumps([[10**30, -1], {}, {}]).encode()),
    message(body=json.dumps([[], {"a": 1}, {}]).encode()),
    message(body=json.dumps([[1, 1], {}, {"chain": [{"task": "x"}]}]).encode()),
    message(
        pickle.dumps(ARGS),
        changes={"content-type": "application/x-python-serialize", "content-encoding": "binary"},
    ),
    message(changes={"content-type": "\0", "content-encoding": "nothing"}),
    message(changes={"body": "not base64 !"}),
    message(headers=task(task="docmill.unheard_of")),
    message(headers=task(task=["docmill.complete"])),
    message(headers=task(eta="never", expires="\0")),
    message(headers=task(timelimit="soon", retries="many")),
    message(headers={}),
    message(headers="none"),
)


def made_up(rng: random.Random) -> bytes:
    """A message with up to three of its values lost or changed, in its head or in its body; now and then cut."""
    args = json.loads(json.dumps(ARGS))
    whole = json.loads(message())
    for _ in range(rng.randint(0, 3)):
        slip(rng, rng.choice((args, whole)))
    if rng.random() < 0.5:
        whole["body"] = base64.b64encode(json.dumps(args).encode()).decode()
    written = json.dumps(whole).encode()
    return written[: rng.randrange(len(written))] if rng.random() < 0.1 else written


def slip(rng: random.Random, tree: Any) -> None:
    """One value anywhere in it is another, or is not there."""
    holder, key = rng.choice(list(places(tree)))
    if rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = rng.choice((rng.choice(TEXTS), rng.choice(NUMBERS), None, [], {}, True, nested(240)))


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each place of a value, as what holds it and its key there."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """That of the round's seed; the same one in each run of `make test`."""
    return random.Random(request.config.getoption("--hypothesis-seed") or 1)


def test_no_message_harms_more_than_itself(start: Callable[..., RunningStack], rng: random.Random) -> None:
    stack = start()
    pids = {name: pid for name, pid in stack.pids.items() if name.startswith(("io", "cpu", "quarantine"))}
    texts = receipts(9)
    # What stands by takes no message before a job needs it: documents that are not short, and what broke workers.
    stack.submit([each.encode("utf-16") for each in texts[:3]], "receipt")
    with stack.engine.begin() as connection:
        broke = [submit(connection, Submission(prompt="receipt", body=each.encode())) for each in texts[3:6]]
        connection.execute(text("update jobs set crashes = 2 where id = any(:ids)"), {"ids": broke})
    stack.jobs.extend(broke)
    for who in ("cpu-1", "quarantine-1"):
        stack.until(lambda who=who: bool(psutil.Process(pids[who]).children()), 60 * TIMES)  # type: ignore[misc]
    broker = json.loads((stack.data / "ready.json").read_text())["broker_url"]
    with redis.Redis.from_url(broker.replace("redis+socket", "unix")) as client:
        for each in (*GARBAGE, *(made_up(rng) for _ in range(MADE_UP))):
            for queue in SERVED:
                client.lpush(f"docmill:{queue}", each)
        stack.submit(texts[6:], "receipt")
        stack.until_all_end(240 * TIMES)
        stack.until(lambda: not any(client.llen(f"docmill:{queue}") for queue in SERVED), 60 * TIMES)
    assert stack.states() == {"done": len(texts)}
    assert {name: stack.pids[name] for name in pids} == pids
    for name in pids:
        log = (stack.data / "logs" / f"{name}.log").read_text()
        assert "message_dropped" in log
        assert "Traceback" not in log
    for pid in pids.values():
        os.kill(pid, 0)
