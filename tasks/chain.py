"""THE chain: five stages, each a Celery task that carries a job's id and epoch, and nothing else.

A document with scans has one more, OCR, which comes before context.

An index job has a chain of its own: validate, chunk, embed, store.

A stage that succeeds commits its transition and returns, and Celery publishes the next one. Everything else
(the first start, a correction, an escalation, the sweep) is a drive, which publishes a chain anew from some
stage on; messages of an older epoch find the job moved on, and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from celery import Signature, current_app

from db.jobs import Drive
from db.stages import CHAINS, STAGES, Stage
from tasks.celery.broker import BROKER_AWAY
from tasks.celery.drive import PublishFailed
from tasks.celery.stage import StageFunction, stage
from tasks.queues import queues_of
from tasks.stages.chunk import chunk
from tasks.stages.complete import complete
from tasks.stages.context import context
from tasks.stages.embed import embed
from tasks.stages.ocr import ocr
from tasks.stages.parse import parse
from tasks.stages.store import store
from tasks.stages.validate import validate

__all__ = ["TASKS", "publish", "signatures_of"]


FUNCTIONS: Mapping[Stage, StageFunction] = {
    "validate": validate,
    "ocr": ocr,
    "context": context,
    "complete": complete,
    "parse": parse,
    "chunk": chunk,
    "embed": embed,
    "store": store,
}
TASKS = {name: stage(name, FUNCTIONS[name]) for name in STAGES}


def signatures_of(drive: Drive) -> list[Signature]:
    """The tasks of a chain from the drive's stage on, in their order."""
    stages = CHAINS[drive.chain]
    stages = stages[stages.index(drive.stage) :]
    stages = (stages[0], *(name for name in stages[1:] if not STAGES[name].on_demand))
    return [
        TASKS[name].si(drive.id, drive.epoch).set(queue=queue)
        for name, queue in zip(stages, queues_of(drive, stages), strict=True)
    ]


def publish(drives: Sequence[Drive]) -> None:
    """Sends the drives' chains to the broker, over Redis in one round trip. Raises PublishFailed.

    A chain is its first task's message, which holds the others, the last one first: Celery's ``chain`` would fold
    what is none but stages into just that.
    """
    chains = [signatures_of(drive) for drive in drives]
    sent, together = 0, False
    try:
        with current_app.producer_or_acquire() as producer, producer.batch():
            together = producer.supports_batch_publish
            for first, *rest in chains:
                # What waits for its round trip must not change its connection for a second try.
                first.apply_async(chain=rest[::-1], producer=producer, retry=not together)
                sent += 1
    except BROKER_AWAY as error:
        raise PublishFailed(
            f"the broker does not take messages ({type(error).__name__})", taken=0 if together else sent
        ) from error
