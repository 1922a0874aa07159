"""A prompt tried on a document: what stages do, one after another, with no text stored and nothing published.

The functions are those of the stages; what a stage keeps in the job's row is kept in a :class:`Job` that has none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

from db.jobs import Answer, Document, Job
from docmill.errors import Failure, FailureKind, PromptError, ReplyRejected, Unreadable
from docmill.llm.client import Outcome
from docmill.llm.sight import sees
from docmill.llm.types import Request
from docmill.llm.wire import learn
from docmill.parsing import correction_problems
from docmill.reading.drawn import Drawn, DrawnPages
from docmill.settings import Model, Settings
from prompts import Excerpt, PromptVersion
from tasks.calls.asking import ask_model
from tasks.calls.pictures import drawn_in
from tasks.calls.request import as_json, compose
from tasks.calls.settlement import settlement_of
from tasks.calls.trying import TrialCall, ask_on_record
from tasks.remedies import Setback
from tasks.services import Caller, Services
from tasks.stages.checking import checked, kept
from tasks.stages.context import choose
from tasks.stages.parting import in_parts
from tasks.stages.seeing import Look, is_drawn, look_at, pages_of, pictures_in
from tasks.stages.window import ladder_model, room_for

__all__ = ["Trial", "TriedCall", "try_on", "unread"]

MOST_CALLS = 20
"""The remedies end sooner."""
LONGEST_WAIT_S = 30.0
"""For a limit or an outage; a job would be held for longer ones."""
PATIENCE_S = 60.0
"""For a page to be drawn."""


@dataclass(frozen=True, kw_only=True)
class TriedCall:
    """One call: what was sent, what came back, what was found wrong with it, and what was done about that."""

    model: str
    purpose: str
    request: Mapping[str, Any]
    reply: str | None
    finish_reason: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None
    """None where it is unknown, or nothing was answered."""
    answered: bool
    latency_ms: int
    failure: FailureKind | None = None
    problems: tuple[str, ...] = ()
    remedy: str | None = None
    """What was done about the failure, and why."""


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


@dataclass(frozen=True, kw_only=True)
class OwnEyes:
    """A trial's: pages of a file in hand, and what the settings say of models."""

    settings: Settings
    body: bytes
    name: str | None
    drawn: DrawnPages

    def sees(self, name: str) -> bool:
        model = self.settings.models.find(name)
        return sees(model.model, told=model.images, met=None) is True

    def draw(self, page: int, dots: int) -> Drawn:
        return self.drawn.page(
            self.body, page, dots_an_inch=dots, fetch=lambda: (self.body, self.name, None), patience_s=PATIENCE_S
        )


@dataclass(kw_only=True)
class Bench:
    """A job that stands nowhere, on its way."""

    settings: Settings
    caller: Caller
    services: Services | None
    """Of a stack, where there is one: its limits and budgets hold, and its ledger has the calls."""
    eyes: OwnEyes
    prompt: PromptVersion
    document: Document
    job: Job
    learned: dict[str, Mapping[str, Any]]
    """By the model's name in the ladder: what a provider taught on the way."""
    previous: str | None = None

    @property
    def text(self) -> str:
        return self.document.text or ""

    def choose(self) -> Failure | None:
        """What the model is shown; a failure where not even the prompt fits. Raises PromptError, Unreadable."""
        reading, look = self.document.reading, Look(model=ladder_model(self.job, self.prompt))
        if is_drawn(reading):
            found = look_at(pages_of(reading), self.eyes, self.job, self.prompt)
            if isinstance(found, Failure):
                return found
            look = found
        if look.pictures:
            self.job = replace(self.job, model=look.model)
        name = ladder_model(self.job, self.prompt)
        model, learned = self.settings.models.find(name), self.learned.get(name, {})
        room = room_for(self.job, self.prompt, model, learned, look.pictures)
        if room.tokens == 0:
            message = (
                "the prompt alone fills the model's window: use a shorter prompt, or a ladder with a larger one"
            )
            return Failure(kind="context_overflow", message=message)
        text = self.text if look.shows_text else ""
        if not look.pictures and in_parts(text, room, self.prompt, self.job, pages=reading.pages) is not None:
            raise PromptError(
                f"prompt {self.prompt} asks so long a document in parts, which a stack alone does: submit it"
            )
        self.job = replace(
            self.job, context=choose(text, room, self.prompt.asked(self.job.params)) | dict(look.record)
        )
        return None

    @property
    def excerpt(self) -> Excerpt:
        chosen = self.job.context or {}
        passages = tuple(self.text[start:end] for start, end in chosen["passages"])
        return Excerpt(passages=passages, pictures=pictures_in(chosen))

    def call(self) -> tuple[Outcome, TriedCall]:
        """One call to the attempt's model. Raises Misconfigured."""
        name = ladder_model(self.job, self.prompt)
        model = self.settings.models.get(name)
        request = compose(self.job, self.prompt, model, self.excerpt, self.previous)
        outcome, cost_usd = self._ask(model, request, self.learned.get(name, {}))
        return outcome, _told(self.job, name, request, outcome, cost_usd)

    def _ask(self, model: Model, request: Request, learned: Mapping[str, Any]) -> tuple[Outcome, Decimal | None]:
        """What came of it, and what it cost as far as that is known; on record where a stack is there."""
        shown = drawn_in(request, lambda each: self.eyes.draw(each.page, each.dots_an_inch))
        if self.services is not None:
            call = TrialCall.of(self.job, self.prompt, model, shown)
            return ask_on_record(self.services, call, learned=learned)
        deadline_s = self.settings.call_deadline_s
        outcome = ask_model(self.caller, model, shown, learned=learned, call_id=uuid4(), deadline_s=deadline_s)
        return outcome, settlement_of(uuid4(), model, outcome, None).cost_usd

    def setback(self, failure: Failure, *, answered: bool, problems: tuple[str, ...] = ()) -> Setback:
        """The failure with its remedy, which the job's history has from here on."""
        setback = Setback.of(self, self.job, self.prompt, failure, answered=answered, problems=problems)
        self.job = replace(self.job, history=[*self.job.history, setback.entry])
        return setback

    def follow(self, setback: Setback) -> Failure | None:
        """Takes the job where the remedy says; a failure where it ends there."""
        remedy = setback.remedy
        name = ladder_model(self.job, self.prompt)
        if remedy.repair is not None:
            self.learned[name] = learn(self.learned.get(name, {}), remedy.repair)
        if remedy.action in ("retry", "adapt") and remedy.countdown_s <= LONGEST_WAIT_S:
            time.sleep(remedy.countdown_s)
            return None
        if remedy.action in ("review", "fail", "hold", "retry", "adapt"):
            return Failure(kind=setback.failure.kind, message=_final(setback))
        self.job = replace(self.job, attempt=self.job.attempt + 1, purpose=remedy.purpose, model=remedy.model)
        return self.choose() if remedy.action == "cut_context" else None


def try_on(
    settings: Settings,
    caller: Caller,
    prompt: PromptVersion,
    document: Document,
    params: Mapping[str, Any],
    *,
    drawn: DrawnPages,
    services: Services | None = None,
) -> Trial:
    """Asks the prompt's models about the document until it has ended, as a job's stages do.

    ``drawn`` draws the document's pages where the prompt shows some.

    With a stack's ``services`` its limits and budgets hold, and its ledger has each call, as feature ``try``.
    Raises PromptError, Misconfigured, Unreadable.
    """
    if prompt.config.retrieval.collection is not None:
        raise PromptError(f"prompt {prompt} looks into a collection, which only a stack has: submit the document")
    job = _job(prompt, document, params)
    bench = Bench(
        settings=settings,
        caller=caller,
        services=services,
        eyes=OwnEyes(settings=settings, body=document.body or b"", name=document.name, drawn=drawn),
        prompt=prompt,
        document=document,
        job=job,
        learned={},
    )
    calls: list[TriedCall] = []
    ended = bench.choose()
    while ended is None and len(calls) < MOST_CALLS:
        outcome, call = bench.call()
        setback, value = _looked_at(bench, outcome)
        if setback is None:
            calls.append(call)
            doubt = (value or {}).get("doubt")
            return _trial(bench, calls, "needs_review" if doubt else "done", value, doubt and Failure(**doubt))
        calls.append(_with_setback(call, setback))
        if value is not None:
            bench.job = replace(bench.job, value=value)
        bench.previous = call.reply
        ended = bench.follow(setback)
        if ended is not None and setback.remedy.action == "review":
            return _trial(bench, calls, "needs_review", bench.job.value, ended)
    return _trial(bench, calls, "failed", None, ended)


def unread(prompt: PromptVersion, error: Unreadable) -> Trial:
    """What comes of a document that cannot be read."""
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


def _looked_at(bench: Bench, outcome: Outcome) -> tuple[Setback | None, dict[str, Any] | None]:
    """What is wrong with an answer, and the value as far as there is one, with its places."""
    if outcome.reply is None or (outcome.failure is not None and outcome.failure.kind != "truncated"):
        failure = outcome.failure or Failure(kind="internal", message="the call came to nothing")
        return bench.setback(failure, answered=outcome.answered), None
    job, prompt, excerpt = bench.job, bench.prompt, bench.excerpt
    reply = outcome.reply
    answer = Answer(call_id=uuid4(), text=reply.text, finish_reason=reply.finish_reason)
    try:
        return None, checked(job, prompt, excerpt, answer)
    except ReplyRejected as rejected:
        failure = Failure(kind=rejected.kind, message=str(rejected))
        problems = tuple(correction_problems(rejected))
        doubtful = None if rejected.value is None else kept(job, prompt, excerpt, rejected.value)
        return bench.setback(failure, answered=True, problems=problems), doubtful


def _job(prompt: PromptVersion, document: Document, params: Mapping[str, Any]) -> Job:
    return Job(
        id=0, tenant="default", feature="try", usr="", lane="interactive", chain="document", document_id=None,
        collection=None, prompt=prompt.name, version=prompt.version, params=params, stage="complete", epoch=0,
        attempt=0, purpose="first", model=None, history=[], context=None, value=None, crashes=0, redrives=0,
        flight_key=None, fresh=True, overdue=False, document=document,
    )  # fmt: skip


def _told(job: Job, name: str, request: Request, outcome: Outcome, cost_usd: Decimal | None) -> TriedCall:
    reply = outcome.reply
    return TriedCall(
        model=name,
        purpose=job.purpose,
        request=as_json(request),
        reply=reply.text if reply else None,
        finish_reason=reply.finish_reason if reply else None,
        input_tokens=reply.usage.input_tokens if reply else None,
        output_tokens=reply.usage.output_tokens if reply else None,
        cost_usd=cost_usd,
        answered=outcome.answered,
        latency_ms=outcome.latency_ms,
    )


def _with_setback(call: TriedCall, setback: Setback) -> TriedCall:
    problems = tuple(setback.problems) or (setback.failure.message,)
    remedy = f"{setback.remedy.action}: {setback.remedy.reason}"
    return replace(call, failure=setback.failure.kind, problems=problems, remedy=remedy)


def _final(setback: Setback) -> str:
    remedy = setback.remedy
    waits = (
        f"a job would wait {remedy.hold_s or remedy.countdown_s:.0f} s: "
        if remedy.action in ("hold", "retry")
        else ""
    )
    return f"{waits}{remedy.reason}"


def _trial(
    bench: Bench, calls: list[TriedCall], state: str, value: Mapping[str, Any] | None, failure: Failure | None
) -> Trial:
    return Trial(
        prompt=str(bench.prompt),
        content_hash=bench.prompt.content_hash.hex(),
        state=state,
        value=(value or {}).get("answer"),
        evidence=(value or {}).get("evidence"),
        failure=failure,
        left_out_chars=int((bench.job.context or {}).get("left_out_chars", 0)),
        calls=tuple(calls),
    )
