"""What Celery itself takes: five tasks that do nothing but count, as a chain.

By Celery's defaults, or with BARE_SETTINGS=docmill as docmill has it set, word for word.
"""

from __future__ import annotations

import os

import redis
from celery import Celery, Signature, chain

from docmill.settings import load_settings
from workers.configuration import make_app

BROKER = os.environ["BARE_BROKER"]
QUEUE = "bulk"


def by_default() -> Celery:
    """Celery as it comes, but that it keeps no results and takes no message beforehand."""
    made = Celery("bare", broker=BROKER)
    made.conf.update(
        task_ignore_result=True,
        task_default_queue=QUEUE,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        worker_hijack_root_logger=False,
    )
    return made


def as_docmill() -> Celery:
    return make_app(load_settings(broker_url=BROKER, task_events=False))


app = as_docmill() if os.environ.get("BARE_SETTINGS") == "docmill" else by_default()
app.conf.broker_transport_options = {**app.conf.broker_transport_options, "global_keyprefix": "bare:"}
counter = redis.Redis(unix_socket_path=BROKER.removeprefix("redis+socket://"))


@app.task(name="bare.step")
def step(last: bool) -> None:
    if last:
        counter.incr("bare:done")


def five() -> Signature:
    return chain(step.si(at == 4) for at in range(5))
