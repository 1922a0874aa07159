"""What Celery itself offers against a provider's limits: a task that waits as it was told, and asks again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import redis
from celery import Celery, Task

app = Celery("plain", broker=os.environ["BARE_BROKER"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    broker_transport_options={"global_keyprefix": "plain:"},
    worker_hijack_root_logger=False,
)
counter = redis.Redis(unix_socket_path=os.environ["BARE_BROKER"].removeprefix("redis+socket://"))
http = httpx.Client(limits=httpx.Limits(max_connections=200), timeout=60)


@app.task(name="plain.call", bind=True, max_retries=None)
def call(task: Task, messages: list[dict[str, str]], output_limit: int) -> None:
    body = {"model": "sim-small", "messages": messages, "max_tokens": output_limit}
    at = time.time()
    response = http.post(f"{os.environ['BARE_URL']}/chat/completions", json=body)
    told = response.json()
    counter.rpush("plain:sent", f"{at} {response.status_code} {told.get('usage', {}).get('total_tokens', 0)}")
    if response.status_code == 429:
        raise task.retry(countdown=float(response.headers.get("retry-after", 1)))
    counter.incr("plain:answered")


def answered() -> int:
    count: Any = counter.get("plain:answered")
    return int(count or 0)


def sent() -> Iterator[tuple[float, int, int]]:
    lines: Any = counter.lrange("plain:sent", 0, -1)
    for line in lines:
        at, status, tokens = line.split()
        yield float(at), int(status), int(tokens)
