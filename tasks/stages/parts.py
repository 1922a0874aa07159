"""Complete, for a document in parts: a call for each part that has no answer yet, several at once.

One task makes them all, in waves: as many parts as the limits have room for have their intents and their money in
one commit, then their calls run beside each other on the loop, and each reply is stored as it comes. A job that is
driven again asks for what is missing alone (docs/decisions/0120).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import budgets, flights, ledger, parts, transitions
from db.engine import is_passing
from db.jobs import Job
from docmill.errors import Failure, FailureKind, Misconfigured
from docmill.llm.client import Outcome, ask
from docmill.llm.tokens import counter_for
from docmill.llm.transport import NOT_SENT
from docmill.parts import Part
from docmill.parts.rounds import Plan
from prompts import Excerpt, PromptVersion
from tasks import remedies
from tasks.calls import admission
from tasks.calls.asking import endpoint_of
from tasks.calls.closing import Closure
from tasks.calls.request import PartShown, as_json, compose_part, input_hash
from tasks.calls.reserve import worst_case
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.pinning import prompt_of
from tasks.remedies import Setback
from tasks.services import Services
from tasks.stages.complete import (
    LANDED_S,
    Call,
    answered_meanwhile,
    board,
    caller_of,
    end_failed,
    end_hold,
    from_cache,
    known_answer,
    log_call,
    may_call,
    tell_unsent,
)
from tasks.stages.step import Again, Step, Stop, go_on
from tasks.stages.window import ladder_model

__all__ = ["ask_parts", "excerpt_of_part", "is_in_parts", "part_key", "plan_of"]

MOST_AT_ONCE = 32
"""Calls of one job: more would keep others from the limits, and from this process's connections."""
IN_FLIGHT_S = 5.0
"""After so long a job looks again whether calls that an earlier run of it had open have come to something."""
FIRST: Sequence[FailureKind] = ("auth", "not_found", "bad_request", "quota_exhausted", "timeout", "connection")
"""Of several failures the one whose remedy is followed: what no further call can mend comes first."""


@dataclass(frozen=True, kw_only=True)
class PartCall(Call):
    """A call about a part."""

    about: Part
    estimate: int
    """Tokens of its messages, as docmill counts them."""

    @property
    def tokens(self) -> int:
        return self.estimate + self.request.max_output_tokens


def is_in_parts(job: Job) -> bool:
    """Whether the job's document was cut into parts."""
    return bool((job.context or {}).get("plan"))


def plan_of(job: Job) -> Plan:
    """The parts whose answers make up the job's."""
    return Plan.read((job.context or {})["plan"]).for_attempt(job.attempt)


def excerpt_of_part(text: str, part: Part) -> Excerpt:
    """What a model is shown of the document for a part."""
    return Excerpt(passages=tuple(text[start:end] for start, end in part.shown))


def part_key(tenant: str, input_digest: bytes, content_hash: bytes | None) -> bytes:
    """The key of a part's answer in the cache."""
    return hashlib.sha256(b"\0".join((b"part", tenant.encode(), input_digest, content_hash or b""))).digest()


def ask_parts(services: Services, job: Job) -> Step:
    """Asks for every part that has no answer, and goes on to parse when all have."""
    prompt = prompt_of(services, job)
    if job.document is None or job.document.text is None:
        return end_failed(services, job, Failure(kind="unreadable", message="the document was deleted"))
    asking = _Asking(services=services, job=job, prompt=prompt, text=job.document.text, plan=plan_of(job))
    try:
        return asking.run()
    except Misconfigured as error:
        return end_failed(services, job, Failure(kind="not_found", message=str(error)))


@dataclass(kw_only=True)
class _Asking:
    """One run of a job's task, which claims the job with its first wave."""

    services: Services
    job: Job
    prompt: PromptVersion
    text: str
    plan: Plan
    claimed: bool = False
    overflowed: set[int] = field(default_factory=set)
    """Parts that are larger than the model takes."""
    unknown: set[int] = field(default_factory=set)
    """Parts that the cache was asked for in vain."""

    def run(self) -> Step:
        while True:
            standing = self.services.database.run(parts.standing, self.job)
            doubtful = self._too_doubtful(standing)
            if doubtful is not None:
                return end_failed(self.services, self.job, doubtful)
            missing = [part for part in self._open_parts() if not self._is_there(standing, part)]
            if not missing:
                return self._onward()
            unasked = [part for part in missing if part.number not in standing or not standing[part.number].open]
            if not unasked:
                return self._wait_for_others()
            calls = [self._call(part) for part in unasked]
            self._name_work(calls)
            calls = [replace(call, job=self.job) for call in calls if not self._is_known(call)]
            step = self._wave(calls) if calls else None
            if step is not None:
                return step

    def _open_parts(self) -> Iterator[Part]:
        return (part for part in self.plan.parts if not part.lost and part.number not in self.overflowed)

    def _is_there(self, standing: Mapping[int, parts.Standing], part: Part) -> bool:
        return part.number in standing and standing[part.number].answered

    def _too_doubtful(self, standing: Mapping[int, parts.Standing]) -> Failure | None:
        """After calls of unknown outcome about a part, which may all be billed, a person decides about another."""
        most = remedies.policy_of(self.services, self.prompt, self.job, jitter=0.0).in_doubt
        worst = max((each.doubts for each in standing.values() if not each.answered), default=0)
        if worst < most:
            return None
        message = (
            f"{worst} calls about one part are of unknown outcome: see the provider's bill, then `docmill retry`"
        )
        return Failure(kind="in_doubt", message=message)

    def _onward(self) -> Step:
        context = None
        if self.overflowed:
            context = {**(self.job.context or {}), "overflowed": sorted(self.overflowed)}
        message_s = self.services.message_s
        return self.services.database.run(go_on, self.job, "parse", message_s=message_s, context=context)

    def _wait_for_others(self) -> Step:
        """What an earlier run has open is not asked twice: it may still be answered, and paid."""
        self.services.database.run(transitions.hold, self.job, "rate", for_s=IN_FLIGHT_S)
        return Stop("held: parts in flight")

    # --- a call ---

    def _call(self, part: Part) -> PartCall:
        name = self._model_of(part)
        model = self.services.settings.models.get(name)
        previous = None
        if part.corrects is not None:
            previous = self.services.database.run(parts.rejected_reply, self.job, part.corrects)
        excerpt = excerpt_of_part(self.text, part)
        request = compose_part(self.job, self.prompt, model, PartShown(part=part, excerpt=excerpt), previous)
        estimate = counter_for(model.model).estimate_messages(request.messages)
        # What context counted is the whole's, and another model's.
        asker = replace(self.job, model=name, context={"estimate": estimate})
        intent = ledger.Intent(
            id=uuid4(),
            content_hash=self.prompt.content_hash,
            input_hash=input_hash(model, request),
            provider=model.provider,
            account=model.account,
            model=model.model,
            request=as_json(request),
            remedy="parts" if part.number > self.plan.first else None,
            reserved_usd=worst_case(asker, model, request),
            owner=self.services.owner,
            part=part.number,
        )
        return PartCall(
            job=self.job,
            prompt=self.prompt,
            model=model,
            request=request,
            intent=intent,
            about=part,
            estimate=estimate,
        )

    def _model_of(self, part: Part) -> str:
        """The job's model, or one further up the ladder where the part needs it."""
        ladder, present = self.prompt.config.ladder, ladder_model(self.job, self.prompt)
        at = ladder.index(present) if present in ladder else 0
        return present if part.rung <= at else ladder[min(part.rung, len(ladder) - 1)]

    def _is_known(self, call: PartCall) -> bool:
        """Whether the cache has the part's answer, which is written down then."""
        policy = self.prompt.config.cache
        if self.job.fresh or not policy.enabled or call.about.corrects is not None or call.part in self.unknown:
            return False
        self.unknown.add(call.part)
        key = part_key(self.job.tenant, call.intent.input_hash, call.intent.content_hash)
        hit = self.services.cache.get(key, kept_s=policy.kept_s)
        if hit is None:
            return False
        cost = hit.value.get("cost_usd")
        known = parts.KnownPart(
            part=call.part,
            request=call.intent.request,
            reply={"text": str(hit.value["text"]), "finish_reason": "stop"},
            input_hash=call.intent.input_hash,
            content_hash=call.intent.content_hash,
            model=str(hit.value["model"]),
            saved_usd=None if cost is None else Decimal(cost),
            layer=hit.layer,
        )
        self.services.database.run(parts.note_cached, self.job, known)
        return True

    # --- a wave ---

    def _wave(self, calls: Sequence[PartCall]) -> Step | None:
        """As many calls as may go now, and what follows where something is in the way; None to go on."""
        whole = self._whole(calls)
        if not self.claimed:
            known = known_answer(self.services, whole)
            if known is not None:
                return from_cache(self.services, whole, known)
        allowed = may_call(self.services, whole, claimed=self.claimed)
        if not isinstance(allowed, Call):
            return allowed
        going = [calls[0], *self._beside(calls[0], calls[1:], probing=allowed.state.hold_cause is not None)]
        opened_at = time.monotonic()
        opened = self._open([replace(call, state=allowed.state) for call in going], calls)
        if not isinstance(opened, list):
            for call in going:
                admission.give_back(self.services, call)
            return opened
        self.claimed = True
        return self._make(opened, opened_at)

    def _beside(self, first: PartCall, others: Sequence[PartCall], *, probing: bool) -> Iterator[PartCall]:
        """Calls that may go together with the first, whose slot is taken; a probe goes alone."""
        for call in () if probing else others[: MOST_AT_ONCE - 1]:
            if call.model.limit_key != first.model.limit_key or not admission.may_go(self.services, call):
                return
            yield call

    def _whole(self, calls: Sequence[PartCall]) -> PartCall:
        """The first call, as expensive as all together: what one of them does not get, none gets."""
        each = [call.intent.reserved_usd for call in calls]
        known = [usd for usd in each if usd is not None]
        allowed = self.services.settings.unpriced == "allow"
        needed = sum(known, Decimal(0)) if len(known) == len(each) or (allowed and known) else None
        asker = replace(self.job, model=self._model_of(calls[0].about))
        return replace(calls[0], job=asker, intent=replace(calls[0].intent, reserved_usd=needed))

    def _name_work(self, calls: Sequence[PartCall]) -> None:
        """Makes the key of the whole work, at its first calls."""
        if self.job.flight_key is not None:
            return
        digest = hashlib.sha256(b"".join(call.intent.input_hash for call in calls)).digest()
        # Of what is still to be asked two documents may show the same; the answer is of the whole.
        document = str(self.job.document_id).encode()
        key = b"\0".join((b"parts", self.job.tenant.encode(), document, digest, calls[0].intent.content_hash))
        self.job = replace(self.job, flight_key=hashlib.sha256(key).digest())

    def _open(self, going: Sequence[PartCall], missing: Sequence[PartCall]) -> list[PartCall] | Step:
        """Writes the intents of a wave, with its money, in one commit; what is done instead where there is none.

        All that is still missing must fit the budgets before any of it is paid for.
        """
        budgeted, asked = self.services.budgets.exist, False
        try:
            with self.services.database.work() as connection:
                ready = self._boarded(connection, going, missing, budgeted=budgeted)
                if not isinstance(ready, list):
                    return ready
                asked = True
                for at, call in enumerate(ready):
                    opening = self._open_one(connection, call, budgeted=budgeted, joins=self.claimed or at > 0)
                    if opening != "opened":
                        connection.rollback()  # and with it what was reserved
                        break
                else:
                    return ready
        except SQLAlchemyError as error:
            if asked and is_passing(error):
                for call in going:
                    tell_unsent(self.services, call)
            raise
        except ledger.CallTaken:
            return Stop("stale")
        except ledger.BudgetsUnasked:
            self.services.budgets.exist = True
            return self._open(going, missing)
        if opening == "stale":
            return Stop("stale")
        return answered_meanwhile(self.services, going[0]) or Again("landed", LANDED_S)

    def _boarded(
        self, connection: Connection, going: Sequence[PartCall], missing: Sequence[PartCall], *, budgeted: bool
    ) -> list[PartCall] | Step:
        whole = self._whole(missing)
        ready = board(connection, self.services, whole, budgeted=budgeted, claimed=self.claimed)
        if not isinstance(ready, Call):
            return ready
        now = self._whole(going).intent.reserved_usd or Decimal(0)
        if ready.budgets and whole.intent.reserved_usd is not None:
            later = whole.intent.reserved_usd - now
            if later > 0:
                budgets.settle(connection, ready.budgets, reserved_usd=later, cost_usd=Decimal(0))
        return [
            replace(call, job=self.job, budgets=() if call.intent.reserved_usd is None else ready.budgets)
            for call in going
        ]

    def _open_one(self, connection: Connection, call: PartCall, *, budgeted: bool, joins: bool) -> ledger.Opening:
        return ledger.open_call(
            connection,
            call.job,
            call.intent,
            work=call.work,
            lease_s=self.services.settings.lease_s,
            budgets=call.budgets if budgeted else None,
            answered_within_s=flights.LATELY_S if call.may_share and not joins else None,
            joins=joins,
        )

    def _make(self, calls: Sequence[PartCall], opened_at: float) -> Step | None:
        """The calls of a wave beside each other, each stored as it comes."""
        going = {self._start(call, opened_at): call for call in calls}
        failures: list[tuple[PartCall, Failure]] = []
        stopped: list[Stop] = []
        for done in as_completed(going):
            call, outcome = going[done], _outcome_of(done)
            admission.tell(self.services, call, outcome)
            settled = self._settle(call, outcome)
            if isinstance(settled, Stop):
                stopped.append(settled)
            elif outcome.failure is not None and not outcome.answered:
                failures.append((call, outcome.failure))
        if stopped:
            return Stop(stopped[0].word, tuple(drive for each in stopped for drive in each.drives))
        return self._remedied(failures)

    def _start(self, call: PartCall, opened_at: float) -> Future[Outcome]:
        """The deadline counts from the intent: a worker that slept in between must not call when it is over."""
        left_s = self.services.settings.call_deadline_s - (time.monotonic() - opened_at)
        if left_s <= 0:
            told: Future[Outcome] = Future()
            told.set_result(_not_sent("connection", "the worker was halted before the call"))
            return told
        caller = caller_of(self.services)
        request = ask(
            endpoint_of(call.model, call.state.learned),
            call.request,
            call_id=call.intent.id,
            transport=caller.transport,
            deadline_s=left_s,
        )
        return caller.loop.start(request)

    def _settle(self, call: PartCall, outcome: Outcome) -> ledger.Ending | Stop:
        """A reply was paid for, and is kept somewhere."""
        settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)

        def close() -> ledger.Ending:
            try:
                return self.services.database.run(ledger.close_call, settlement).ending
            except ledger.AnsweredMeanwhile:
                return self.services.database.run(ledger.close_call, settlement).ending

        def closure() -> Closure:
            return Closure.of(call.job, settlement, part=call.part)

        ending = settle_or_spool(self.services, close, closure)
        log_call(call, settlement, ending if isinstance(ending, str) else ending.word)
        if not isinstance(ending, Stop):
            end_hold(self.services, call, outcome)
        return ending

    # --- what failed ---

    def _remedied(self, failures: Sequence[tuple[PartCall, Failure]]) -> Step | None:
        """The remedy of the gravest failure: what was answered beside it stays, and is asked for no more."""
        too_large = {call.part for call, failure in failures if failure.kind == "context_overflow"}
        self.overflowed |= too_large
        rest = [each for each in failures if each[1].kind != "context_overflow"]
        if not rest:
            return None
        order = {kind: place for place, kind in enumerate(FIRST)}
        call, failure = min(rest, key=lambda each: order.get(each[1].kind, len(FIRST)))
        asker = replace(self.job, model=self._model_of(call.about))
        with self.services.database.work() as connection:
            setback = Setback.of(self.services, asker, self.prompt, failure, answered=False)
            if failure.kind == call.state.hold_cause == "auth":
                setback = replace(setback, remedy=replace(setback.remedy, action="hold"))
            return remedies.apply(connection, self.services, setback)


def _outcome_of(done: Future[Outcome]) -> Outcome:
    """What a call came to; one that could not be made was none."""
    try:
        return done.result()
    except Misconfigured as error:
        return _not_sent("bad_request", str(error))


def _not_sent(kind: FailureKind, message: str) -> Outcome:
    failure = Failure(kind=kind, message=message, code=NOT_SENT)
    return Outcome(reply=None, failure=failure, status=None, latency_ms=0)
