"""A prompt tried on a document: what stages do, one after another, with nothing stored and nothing published.

The functions are those of the stages; what a stage keeps in the job's row is kept in a :class:`Job` that has none.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from db.jobs import Answer, Document, Job
from docmill.errors import Failure, PromptError, Unreadable
from docmill.llm.client import Outcome
from docmill.reading import Reader
from docmill.reading.drawn import DrawnPages
from docmill.settings import Settings
from prompts import PromptVersion
from tasks.services import Caller, Services
from tasks.setbacks import Setback
from tasks.stages.checking import judge
from tasks.trial.calls import TriedCall
from tasks.trial.job import TrialJob
from tasks.trial.view import OwnEyes

__all__ = ["Trial", "try_on", "unread"]

MOST_CALLS = 20
"""The remedies end sooner."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What came of a document."""

    prompt: str
    content_hash: str
    state: str
    """As a job's: done, needs_review or failed."""
    value: Any
    evidence: Any
    failure: Failure | None
    left_out_chars: int
    """Of the document, that the model was not shown."""
    calls: tuple[TriedCall, ...]

    @property
    def cost_usd(self) -> Decimal | None:
        """Of all calls that were answered; None where one of them is unknown."""
        costs = [call.cost_usd for call in self.calls if call.answered]
        return None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))


def try_on(
    settings: Settings,
    caller: Caller,
    prompt: PromptVersion,
    document: Document,
    params: Mapping[str, Any],
    *,
    reader: Reader,
    services: Services | None = None,
    tenant: str = "default",
) -> Trial:
    """Asks the prompt's models about the document until it has ended, as a job's stages do.

    ``reader`` draws the document's pages where the prompt shows some.

    With a stack's ``services`` its limits and budgets hold, and its ledger has each call, as feature ``try`` of
    the tenant.
    Raises PromptError, Misconfigured.
    """
    if prompt.config.retrieval.collection is not None:
        raise PromptError(f"prompt {prompt} looks into a collection, which only a stack has: submit the document")
    tried = TrialJob(
        settings=settings,
        caller=caller,
        services=services,
        eyes=OwnEyes(settings=settings, body=document.body or b"", name=document.name, drawn=DrawnPages(reader)),
        prompt=prompt,
        document=document,
        job=_job(prompt, document, params, tenant),
        learned={},
    )
    try:
        return _run(tried)
    except Unreadable as error:
        return unread(prompt, error)


def _run(tried: TrialJob) -> Trial:
    """Raises PromptError, Misconfigured, Unreadable."""
    calls: list[TriedCall] = []
    ended = tried.choose()
    while ended is None and len(calls) < MOST_CALLS:
        outcome, call = tried.call()
        setback, value = _looked_at(tried, outcome)
        if setback is None:
            calls.append(call)
            doubt = (value or {}).get("doubt")
            return _trial(tried, calls, "needs_review" if doubt else "done", value, doubt and Failure(**doubt))
        calls.append(_with_setback(call, setback))
        if value is not None:
            tried.job = tried.job.but(value=value)
        tried.previous = call.reply
        ended = tried.follow(setback)
        if ended is not None and setback.remedy.action == "review":
            return _trial(tried, calls, "needs_review", tried.job.value, ended)
    return _trial(tried, calls, "failed", None, ended)


def unread(prompt: PromptVersion, error: Unreadable) -> Trial:
    """Returns what comes of a document that cannot be read."""
    failure = Failure(kind="unreadable", message=f"{error.kind}: {error}")
    return Trial(
        prompt=str(prompt),
        content_hash=prompt.content_hash.hex(),
        state="failed",
        value=None,
        evidence=None,
        failure=failure,
        left_out_chars=0,
        calls=(),
    )


def _looked_at(tried: TrialJob, outcome: Outcome) -> tuple[Setback | None, dict[str, Any] | None]:
    """What is wrong with an answer, and the value as far as there is one, with its places."""
    if outcome.reply is None or (outcome.failure is not None and outcome.failure.kind != "truncated"):
        failure = outcome.failure or Failure(kind="internal", message="the call came to nothing")
        return tried.setback(failure, answered=outcome.answered), None
    job, prompt, excerpt = tried.job, tried.prompt, tried.excerpt
    reply = outcome.reply
    answer = Answer(call_id=uuid4(), text=reply.text, finish_reason=reply.finish_reason)
    verdict = judge(job, prompt, excerpt, answer)
    if verdict.rejected is None:
        return None, verdict.kept
    failure = Failure(kind=verdict.rejected.kind, message=verdict.rejected.message)
    return tried.setback(failure, answered=True, problems=verdict.rejected.problems), verdict.kept


def _job(prompt: PromptVersion, document: Document, params: Mapping[str, Any], tenant: str) -> Job:
    """With an id that no job has, and no other trial: limits tell calls apart by it."""
    return Job(
        id=-secrets.randbits(62), tenant=tenant, feature="try", usr="", lane="interactive", chain="document",
        document_id=None, collection=None, prompt=prompt.name, version=prompt.version, params=params,
        stage="complete", epoch=0, attempt=0, purpose="first", model=None, history=[], context=None, value=None,
        crashes=0, redrives=0, flight_key=None, fresh=True, overdue=False, document=document,
    )  # fmt: skip


def _with_setback(call: TriedCall, setback: Setback) -> TriedCall:
    problems = tuple(setback.problems) or (setback.failure.message,)
    remedy = f"{setback.remedy.action}: {setback.remedy.reason}"
    return replace(call, failure=setback.failure.kind, problems=problems, remedy=remedy)


def _trial(
    tried: TrialJob, calls: list[TriedCall], state: str, value: Mapping[str, Any] | None, failure: Failure | None
) -> Trial:
    return Trial(
        prompt=str(tried.prompt),
        content_hash=tried.prompt.content_hash.hex(),
        state=state,
        value=(value or {}).get("answer"),
        evidence=(value or {}).get("evidence"),
        failure=failure,
        left_out_chars=int((tried.job.context or {}).get("left_out_chars", 0)),
        calls=tuple(calls),
    )
