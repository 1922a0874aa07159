"""Short jobs: what one io worker takes all the way, from the document to the result (docs/decisions/0218).

A short document is read, and its answer checked, within milliseconds, by processes apart that the worker asks.
What takes longer, or breaks, goes on as any other job does: through the queues of who computes.
"""

from __future__ import annotations

from db import transitions
from db.jobs import Answer, Job
from db.ledger import Settlement
from db.stored import loads
from docmill.storable import dump_json
from tasks.apart.judge import NotNow, TookLong
from tasks.services import Services
from tasks.stages.parting import is_in_parts
from tasks.stages.step import Stop

__all__ = ["LONGEST_REPLY", "LONGEST_TEXT", "NOT_JUDGED", "answered", "may_be_parsed", "take_the_long_way"]

LONGEST_TEXT, LONGEST_REPLY = 8192, 4096
"""In characters, of a document's text and of a reply that is held against it: whatever they say, that takes a
third of a second at most. 64 KB of figures take a second and more, and what is late is blamed on the prompt
(:mod:`tasks.apart.judge`). Which documents are read in a hurry is said when they are submitted
(``docmill_is_short`` in db/sql/functions.sql)."""
NOT_JUDGED = (NotNow, TookLong)
"""What a judge apart raises whose turn nobody has, or whose time is over: nothing is known of the reply."""


def may_be_parsed(job: Job | None) -> bool:
    """Whether a job in hand from its call is parsed by who called: short, and with all that parse reads."""
    if job is None or job.document is None or job.answer is None or is_in_parts(job):
        return False
    text = job.document.text or ""
    return job.document.whole and len(text) <= LONGEST_TEXT and len(job.answer.text) <= LONGEST_REPLY


def answered(job: Job, settlement: Settlement, *, work: bytes) -> Job:
    """The job of an answered call, as parse would load it once that is closed; ``work`` is the call's key."""
    told = loads(dump_json(settlement.reply)) or {}
    answer = (
        Answer(call_id=settlement.id, text=told["text"], finish_reason=told["finish_reason"]) if told else None
    )
    return job.moved("parse").but(answer=answer, flight_key=work)


def take_the_long_way(services: Services, job: Job) -> Stop:
    """Leaves a job that this process has in hand to who computes: others go first here, or it takes too long."""
    left = services.database.run(transitions.let_go, job, owner=services.owner)
    return Stop("takes the long way" if left else "stale")
