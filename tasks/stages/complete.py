"""Complete: one call to a model, with its intent in the ledger before and its reply in the ledger after.

No database connection is held while the model thinks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from uuid import uuid4

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import flights, ledger, model_state, transitions
from db.budgets import Reservation
from db.engine import is_passing
from db.jobs import Job
from db.model_state import ModelState
from docmill.errors import Failure, Misconfigured, Unreadable
from docmill.llm.cache import Hit
from docmill.llm.client import Outcome
from docmill.llm.limits import Limits
from docmill.llm.transport import NOT_SENT
from docmill.llm.types import Request
from docmill.llm.wire.repairs import takes_images
from docmill.reading.drawn import Busy
from docmill.remedies import decide
from docmill.settings import Model
from prompts import PromptVersion
from tasks import remedies
from tasks.calls import admission
from tasks.calls.asking import ask_model
from tasks.calls.closing import Closure
from tasks.calls.request import as_json, compose, input_hash, with_pictures
from tasks.calls.reserve import reserve, short_of_money, worst_case
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool, spool
from tasks.celery.drive import drive, drive_to_store
from tasks.pinning import prompt_of
from tasks.remedies import Setback
from tasks.services import Caller, Services
from tasks.stages.context import excerpt_of
from tasks.stages.step import Again, Onward, Step, Stop, fail, go_on

__all__ = [
    "Call",
    "answered_meanwhile",
    "board",
    "calibrate",
    "caller_of",
    "complete",
    "end_failed",
    "end_hold",
    "from_cache",
    "known_answer",
    "log_call",
    "may_call",
    "settle",
    "tell_unsent",
]

log = structlog.get_logger()

ITS_OWN_FAULT = frozenset({"truncated", "content_filtered", "refused", "context_overflow", "bad_request"})
"""Kinds of failures that lie in a request or its answer: the account that met them works."""
LANDED_S = 1.0
"""An answer that was there and is not any more: the job asks anew."""
ROOM_WITHIN_S = 5.0
"""So long a thread waits for room for its pictures' bytes; then its job comes again."""
NO_ROOM_S = 3.0
WAITER_S = 60.0
"""After so long a job that waits for another's answer looks whether that one still lives."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call about to be made, with all that belongs to it."""

    job: Job
    prompt: PromptVersion
    model: Model
    request: Request
    intent: ledger.Intent
    state: ModelState = field(default_factory=ModelState)
    budgets: Sequence[int] = ()
    """Where its worst case is reserved."""

    @property
    def work(self) -> bytes:
        """The key of the work, the same for the same question of a tenant: the flight's, and the cache's.

        That of the first call is kept through all that follow, other models' included. It covers the messages with
        document and passages, the model, the sampling, the schema and the checks.
        """
        if self.job.flight_key is not None:
            return bytes(self.job.flight_key)
        parts = (self.job.tenant.encode(), self.intent.input_hash, self.intent.content_hash)
        return hashlib.sha256(b"\0".join(parts)).digest()

    @property
    def bytes_shown(self) -> int:
        """Of the pictures that are part of it."""
        return sum(picture.size for picture in self.request.pictures)

    @property
    def may_share(self) -> bool:
        """Whether an answer to the same work will do that somebody else got."""
        return self.job.purpose == "first" and not self.job.fresh

    @property
    def limits(self) -> Limits:
        """As docmill.toml knows them."""
        return self.model.limits

    @property
    def part(self) -> int:
        """Of the document; 0 is the whole."""
        return self.intent.part

    @property
    def tokens(self) -> int:
        """What the call is counted as until its answer tells: providers charge the output limit at once."""
        return int((self.job.context or {}).get("tokens", 0)) + self.request.max_output_tokens


def complete(services: Services, job: Job) -> Step:
    """Asks the model unless this attempt has its answer, and goes on as the answer demands."""
    if job.answer is not None:
        return _onward(services, job)
    call = _prepare(services, job)
    if not isinstance(call, Call):
        return call
    known = known_answer(services, call)
    if known is not None:
        return from_cache(services, call, known)
    with services.room.of(call.bytes_shown, within_s=ROOM_WITHIN_S) as has_room:
        if not has_room:
            return services.database.run(remedies.wait, job, NO_ROOM_S, "room")
        return _call(services, call)


def _call(services: Services, wanted: Call) -> Step:
    """The call, once it may be made, with its pictures in hand."""
    call = may_call(services, wanted)
    if not isinstance(call, Call):
        return call
    try:
        shown = with_pictures(services, call.job, call.request)
    except (Busy, Unreadable) as error:
        admission.give_back(services, call)
        return _not_shown(services, call, error)
    if shown is None:
        admission.give_back(services, call)
        return _anew(services, call)
    return _make(services, replace(call, request=shown))


def _not_shown(services: Services, call: Call, error: Busy | Unreadable) -> Step:
    if isinstance(error, Busy):
        return services.database.run(remedies.wait, call.job, NO_ROOM_S, "pages")
    return end_failed(services, call.job, Failure(kind="unreadable", message=str(error)))


def _anew(services: Services, call: Call) -> Step:
    """What draws pages has changed since they were chosen, and so what is shown is chosen again."""
    with services.database.work() as connection:
        started = drive(connection, services, call.job, "context", "redrawn")
    return Stop("redrawn", (started,)) if started else Stop("stale")


def _make(services: Services, call: Call) -> Step:
    """The call, whose slot of the limits is taken."""
    opened_at = time.monotonic()
    opened = _open(services, call)
    if not isinstance(opened, Call):
        admission.give_back(services, call)
        return opened
    outcome = _ask(services, opened, opened_at)
    admission.tell(services, opened, outcome)
    return _store(services, opened, outcome)


def settle(services: Services, call: Call, outcome: Outcome) -> Step:
    """Stores what the call came to, and moves the job on, in one commit."""
    settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)
    try:
        ending, step = _settle(services, call, outcome, settlement)
    except ledger.AnsweredMeanwhile:
        ending, step = _settle(services, call, outcome, settlement)
    log_call(call, settlement, ending)
    end_hold(services, call, outcome)
    return step


def end_hold(services: Services, call: Call, outcome: Outcome) -> None:
    """A probe that shows that the account works ends the hold for all. The job has gone on by now."""
    works = outcome.failure is None or outcome.failure.kind in ITS_OWN_FAULT
    if call.state.hold_cause is None or not works:
        return
    try:
        services.database.run(model_state.release, call.model)
    except Exception:
        log.exception("hold_not_ended", model=call.model.model)


def _settle(
    services: Services, call: Call, outcome: Outcome, settlement: ledger.Settlement
) -> tuple[ledger.Ending, Step]:
    failure = outcome.failure
    if failure is None or _left_to_parse(failure):
        closed = _close_and_parse(services, call, settlement)
        calibrate(services, call, outcome)
        surplus = closed.ending == "surplus"
        return closed.ending, Stop("surplus") if surplus else Onward() if closed.moved else Stop("stale")
    with services.database.work() as connection:
        ending = ledger.close_call(connection, settlement).ending
        if ending == "surplus":
            return ending, Stop("surplus")
        setback = Setback.of(services, call.job, call.prompt, failure, answered=outcome.answered)
        if failure.kind == call.state.hold_cause == "auth":
            # Only who first met the wrong key fails: this one has tried it for those who wait for another.
            setback = replace(setback, remedy=replace(setback.remedy, action="hold"))
        return ending, remedies.apply(connection, services, setback)


def _close_and_parse(services: Services, call: Call, settlement: ledger.Settlement) -> ledger.Closed:
    """Closes the call, and takes its job to parse: in one statement, as almost every call is closed."""
    if not call.budgets:
        closed = services.database.run(ledger.close_unbudgeted, settlement, call.job, message_s=services.message_s)
        if closed is not None:
            return closed
    return services.database.run(ledger.close_call, settlement, job=call.job, message_s=services.message_s)


def calibrate(services: Services, call: Call, outcome: Outcome) -> None:
    """What was estimated, against what the provider counted: of the messages whose estimate was kept.

    The job has gone on by now, and does not wait for it.
    """
    chosen = call.job.context or {}
    estimated, pictures = chosen.get("estimate"), int(chosen.get("picture_tokens", 0))
    counted = outcome.reply.usage.input_tokens if outcome.reply else None
    if not estimated or not counted or call.job.purpose == "correction":
        return
    learned = call.state.learned
    try:
        if pictures:
            sizes = {"words": estimated, "pictures": pictures, "counted": counted}
            services.database.run(remedies.learn_picture_tokens, call.model, learned, **sizes)
        else:
            services.database.run(remedies.learn_tokens, call.model, learned, estimated=estimated, counted=counted)
    except Exception:
        log.exception("not_calibrated", model=call.model.model)


def _prepare(services: Services, job: Job) -> Call | Step:
    """The call to make, or what is done instead."""
    prompt = prompt_of(services, job)
    doubts = _too_many_doubts(services, job, prompt)
    if doubts is not None:
        return end_failed(services, job, doubts)
    try:
        model = services.settings.models.get(remedies.ladder_model(job, prompt))
    except Misconfigured as error:
        return end_failed(services, job, Failure(kind="not_found", message=str(error)))
    if job.document is None or job.document.text is None:
        return end_failed(services, job, Failure(kind="unreadable", message="the document was deleted"))
    request = compose(job, prompt, model, excerpt_of(services, job, job.document.text), _previous(services, job))
    intent = _intent(services, job, prompt, model, request)
    return Call(job=job, prompt=prompt, model=model, request=request, intent=intent)


def _previous(services: Services, job: Job) -> str | None:
    """What a correction corrects."""
    if job.purpose != "correction":
        return None
    return services.database.run(ledger.previous_reply, job)


def may_call(services: Services, call: Call, *, claimed: bool = False) -> Call | Step:
    """The call with its slot of the limits, and with what is known of its model; or what it has to wait for.

    Who waits for another's answer takes no slot from those who call; who has ``claimed`` its stage with an earlier
    call leads the work already.
    """
    job = call.job
    ahead = services.database.run(flights.peek, job, call.work, call.model)
    state = ahead.model
    if call.request.pictures and takes_images(state.learned) is False:
        return remedies.past_blindness(services, job, call.prompt)
    if state.hold_s > 0:
        past = remedies.past_hold(services, job, call.prompt, state)
        return past or _held(services, job, call.model)
    waits = (
        (None if claimed else _behind_another(services, call, led=ahead.led))
        or short_of_money(services, job, call.prompt, call.intent.reserved_usd)
        or admission.wait_for(services, call)
    )
    if waits is None and state.hold_cause is not None and not _takes_probe(services, call):
        admission.give_back(services, call)
        waits = _held(services, job, call.model)
    return waits or replace(call, state=state)


def _takes_probe(services: Services, call: Call) -> bool:
    """Whether this is the one call that tries if a hold, whose time is over, is over indeed."""
    lease_s = services.settings.lease_s
    return services.database.run(model_state.take_probe, call.model, for_s=lease_s)


def _intent(services: Services, job: Job, prompt: PromptVersion, model: Model, request: Request) -> ledger.Intent:
    return ledger.Intent(
        id=uuid4(),
        content_hash=prompt.content_hash,
        input_hash=input_hash(model, request),
        provider=model.provider,
        account=model.account,
        model=model.model,
        request=as_json(request),
        remedy=str(job.history[-1]["remedy"]) if job.history else None,
        reserved_usd=worst_case(job, model, request),
        owner=services.owner,
    )


def known_answer(services: Services, call: Call) -> Hit | None:
    """The answer to the same work, if a cache has it and the job does not want to pay again."""
    policy = call.prompt.config.cache
    if not call.may_share or not policy.enabled:
        return None
    return services.cache.get(call.work, kept_s=policy.kept_s)


def from_cache(services: Services, call: Call, hit: Hit) -> Step:
    cost = hit.value.get("cost_usd")
    known = flights.SharedAnswer(
        value={"answer": hit.value["answer"], "evidence": hit.value.get("evidence")},
        model=str(hit.value["model"]),
        cost_usd=None if cost is None else Decimal(cost),
    )
    with services.database.work() as connection:
        transitions.name_work(connection, call.job, call.work)
        return _use(connection, services, call.job, known, hit.layer)


def _use(connection: Connection, services: Services, job: Job, known: flights.SharedAnswer, layer: str) -> Stop:
    """A known answer was checked when it was new: it goes to store without another look."""
    moved = drive_to_store(connection, services, job, known.value, "cached")
    if moved is None:
        return Stop("stale")
    ledger.note_cached(connection, [job.id], layer=layer, model=known.model, saved_usd=known.cost_usd)
    return Stop("cached", (moved,))


def _open(services: Services, call: Call) -> Call | Step:
    """Writes the intent; what is done instead where another job calls for the same work, or just has called."""
    budgeted, asked = services.budgets.exist, False
    # Without budgets two statements are all, and each stands alone: a flight whose leader has not called yet is
    # led all the same, as that one is on its way.
    try:
        with services.database.work(atomic=budgeted) as connection:
            ready = board(connection, services, call, budgeted=budgeted)
            if not isinstance(ready, Call):
                return ready
            asked = True
            opening = _open_in(connection, services, ready, budgeted=budgeted)
            if opening != "opened":
                connection.rollback()  # and with it what was reserved
    except SQLAlchemyError as error:
        if asked and is_passing(error):
            tell_unsent(services, call)
        raise
    except ledger.CallTaken:
        return Stop("stale")
    except ledger.BudgetsUnasked:
        services.budgets.exist = True
        return _open(services, call)
    if opening == "answered":
        return answered_meanwhile(services, call) or Again("landed", LANDED_S)
    return ready if opening == "opened" else Stop("stale")


def tell_unsent(services: Services, call: Call) -> None:
    """Whether the intent stands or not, its call was never made. Nobody else knows that, and would doubt it."""
    failure = Failure(kind="connection", message="the database went away before the call", code=NOT_SENT)
    outcome = Outcome(reply=None, failure=failure, status=None, latency_ms=0)
    try:
        settlement = settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)
        spool(services.spool, services.owner, Closure.of(call.job, settlement, part=call.part))
    except OSError as error:
        log.error("spool_refused", call=str(call.intent.id), error=error.strerror)


def board(
    connection: Connection, services: Services, call: Call, *, budgeted: bool, claimed: bool = False
) -> Call | Step:
    """The call, when its job leads the work and its worst case is reserved; or what is done instead."""
    job = call.job
    boarded = (
        "leads" if job.fresh or claimed else flights.lead_or_follow(connection, job, call.work, for_s=WAITER_S)
    )
    if boarded != "leads":
        return Stop("held: flight" if boarded == "held" else "stale")
    if not budgeted:
        return call
    # What is known costs nothing, and must not meet an empty budget.
    landed = None if claimed else _answered_lately(connection, services, call)
    if landed is not None:
        return landed
    found = reserve(connection, services, job, call.prompt, call.intent.reserved_usd)
    return replace(call, budgets=found.budgets) if isinstance(found, Reservation) else found


def _open_in(connection: Connection, services: Services, call: Call, *, budgeted: bool) -> ledger.Opening:
    """Unless the same work has landed between this job's look at the cache and its boarding."""
    return ledger.open_call(
        connection,
        call.job,
        call.intent,
        work=call.work,
        lease_s=services.settings.lease_s,
        budgets=call.budgets if budgeted else None,
        answered_within_s=flights.LATELY_S if call.may_share else None,
    )


def _behind_another(services: Services, call: Call, *, led: bool) -> Stop | None:
    """A hold, where another job calls for the same work already."""
    if call.job.fresh:
        return None
    if led and services.database.run(flights.follow, call.job, call.work, for_s=WAITER_S):
        return Stop("held: flight")
    return answered_meanwhile(services, call) if call.job.epoch > 1 else None


def answered_meanwhile(services: Services, call: Call) -> Stop | None:
    """The answer of a flight that landed while the job was held: without the cache server, nothing else has it."""
    return services.database.run(_answered_lately, services, call)


def _answered_lately(connection: Connection, services: Services, call: Call) -> Stop | None:
    landed = flights.answered_lately(connection, call.job, call.work) if call.may_share else None
    if landed is None:
        return None
    transitions.name_work(connection, call.job, call.work)
    return _use(connection, services, call.job, landed, "flight")


def _ask(services: Services, call: Call, opened_at: float) -> Outcome:
    """The deadline counts from the intent: a worker that slept in between must not call when its lease is over."""
    left_s = services.settings.call_deadline_s - (time.monotonic() - opened_at)
    if left_s <= 0:
        failure = Failure(kind="connection", message="the worker was halted before the call", code=NOT_SENT)
        return Outcome(reply=None, failure=failure, status=None, latency_ms=0)
    return ask_model(
        caller_of(services),
        call.model,
        call.request,
        learned=call.state.learned,
        call_id=call.intent.id,
        deadline_s=left_s,
    )


def caller_of(services: Services) -> Caller:
    if services.caller is None:
        raise RuntimeError("this worker calls no models: complete belongs to the io queues")
    return services.caller


def _store(services: Services, call: Call, outcome: Outcome) -> Step:
    """A reply was paid for, and is kept somewhere."""

    def closure() -> Closure:
        return Closure.of(call.job, settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd))

    return settle_or_spool(services, lambda: settle(services, call, outcome), closure)


def _left_to_parse(failure: Failure) -> bool:
    """Half an answer is for parse to refuse: what is wrong with a reply is decided in one place."""
    return failure.kind == "truncated"


def _too_many_doubts(services: Services, job: Job, prompt: PromptVersion) -> Failure | None:
    """After calls of unknown outcome, which may all be billed, a person decides about another one."""
    if not job.history or job.history[-1]["kind"] != "in_doubt":
        return None
    policy = remedies.policy_of(services, prompt, job, jitter=0.0)
    remedy = decide(Failure(kind="in_doubt"), remedies.tried(job, prompt), policy)
    return Failure(kind="in_doubt", message=remedy.reason) if remedy.action == "fail" else None


def _onward(services: Services, job: Job) -> Step:
    return services.database.run(go_on, job, "parse", message_s=services.message_s)


def _held(services: Services, job: Job, model: Model) -> Step:
    """Until a probe, which is one job's, or an operator ends the hold."""
    services.database.run(transitions.hold, job, "rate", held_for=model_state.hold_key(model))
    return Stop("held: rate")


def end_failed(services: Services, job: Job, failure: Failure) -> Step:
    return services.database.run(fail, job, failure)


def log_call(call: Call, settlement: ledger.Settlement, ending: str) -> None:
    """One event a call, without a word of the document or the reply."""
    log.info(
        "llm_call",
        call=str(call.intent.id),
        input_hash=call.intent.input_hash.hex(),
        prompt=call.prompt.name,
        version=call.prompt.version,
        model=call.model.model,
        purpose="part" if call.part else call.job.purpose,
        part=call.part or None,
        attempt=call.job.attempt,
        state=ending,
        failure=settlement.failure_kind,
        input_tokens=settlement.input_tokens,
        cached_tokens=settlement.cached_tokens,
        output_tokens=settlement.output_tokens,
        latency_ms=settlement.latency_ms,
        cost_usd=None if settlement.cost_usd is None else str(settlement.cost_usd),
        cache_layer=None,
    )
