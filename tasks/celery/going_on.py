"""Going on with a chain's next task in the process that ended the one before, where that serves it anyway.

A message would say what such a process knows: it takes a publish, the broker, a receipt and a load. The task
stays one of Celery's, which traces it, retries it, and publishes what follows it; and its events are told as a
worker tells them, so that Flower shows it as any other. A process that dies in between has lost a message like any
that gets lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Task, states
from celery.app.trace import trace_task
from celery.utils.saferepr import saferepr
from celery.worker import state as worker
from kombu.utils.uuid import uuid

from db.jobs import Job
from db.stages import STAGES, Stage
from tasks.celery.events import events_of
from tasks.short import may_be_parsed

__all__ = ["IN_HAND", "following", "go_on_here", "goes_on"]

IN_HAND = "in_hand"
"""Of a task's request: its job, which no message can hold."""
STAGE_OF: Mapping[str, Stage] = {f"docmill.{stage}": stage for stage in STAGES}


def following(task: Task) -> Stage | None:
    """The stage that follows in the task's chain, if this process goes on with it; None where Celery publishes it.

    A worker that is told to stop begins nothing.
    """
    chain = task.request.chain
    if not chain or worker.should_stop is not None or worker.should_terminate is not None:
        return None
    then = chain[-1]
    stage = STAGE_OF.get(then["task"])
    same_job = list(then.get("args") or ()) == list(task.request.args)
    return stage if same_job and stage in task.app.services.goes_on_with else None


def goes_on(then: Stage | None, job: Job | None) -> bool:
    """Whether this process goes on with the stage ``then``: with parse only for a short job in hand."""
    return then is not None and (then != "parse" or may_be_parsed(job))


def go_on_here(task: Task, job: Job | None = None) -> None:
    """Runs the chain's next task as if its message had come, with the ``job`` that it would load, if at hand."""
    *rest, then = task.request.chain
    task.request.chain = None
    app, args = task.app, tuple(then["args"])
    request = _request(task, then, rest)
    events = events_of(app, request, name=then["task"])
    events.tell_sent(queue=then["options"]["queue"])
    events.tell_begun()
    _, unlike, runtime, result = trace_task(
        app.tasks[then["task"]], request["id"], args, {}, {**request, IN_HAND: job}, app=app
    )
    if unlike is None:
        events.tell("task-succeeded", result=result, runtime=runtime)
    elif unlike.state == states.RETRY:
        events.tell("task-retried", exception=saferepr(unlike.retval.exc))
    elif unlike.state == states.FAILURE:
        events.tell("task-failed", exception=saferepr(unlike.retval))
    events.flush()


def _request(task: Task, then: Mapping[str, Any], rest: list[Any]) -> dict[str, Any]:
    """What its message would have said."""
    queue = task.app.amqp.queues[then["options"]["queue"]]
    return {
        "id": uuid(),
        "root_id": task.request.root_id,
        "parent_id": task.request.id,
        "hostname": task.request.hostname,
        "chain": rest,
        "delivery_info": {"exchange": queue.exchange.name, "routing_key": queue.routing_key},
        "argsrepr": repr(tuple(then["args"])),  # a job's id and epoch
        "kwargsrepr": "{}",
        "headers": {},
        "retries": 0,
    }
