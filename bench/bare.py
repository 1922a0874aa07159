"""What Celery itself takes: five tasks that do nothing but count, as a chain."""

from __future__ import annotations

import os

import redis
from celery import Celery, Signature, chain

app = Celery("bare", broker=os.environ["BARE_BROKER"])
app.conf.update(
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    broker_transport_options={
        "global_keyprefix": "bare:",
        "ack_emulation": os.environ.get("BARE_ACK_EMULATION", "true") == "true",
    },
    worker_hijack_root_logger=False,
)
counter = redis.Redis(unix_socket_path=os.environ["BARE_BROKER"].removeprefix("redis+socket://"))


@app.task(name="bare.step")
def step(last: bool) -> None:
    if last:
        counter.incr("bare:done")


def five() -> Signature:
    return chain(step.si(at == 4) for at in range(5))
