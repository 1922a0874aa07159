"""Settles a call that was made, and moves its job on, in one commit."""

from __future__ import annotations

from dataclasses import replace

import structlog

from db import ledger, model_state
from docmill.errors import Failure
from docmill.llm.client import Outcome
from tasks import remedies
from tasks.calls.calibration import learn_picture_tokens, learn_tokens
from tasks.calls.call import Call
from tasks.calls.closing import Closure
from tasks.calls.settlement import settlement_of
from tasks.calls.spool import settle_or_spool
from tasks.services import Services
from tasks.setbacks import Setback
from tasks.short import answered, may_be_parsed
from tasks.stages.step import Onward, Step, Stop

__all__ = ["setback_of", "store_outcome", "store_part"]

log = structlog.get_logger()

ITS_OWN_FAULT = frozenset({"truncated", "content_filtered", "refused", "context_overflow", "bad_request"})
"""Kinds of failures that lie in a request or its answer: the account that met them works."""


def store_outcome(services: Services, call: Call, outcome: Outcome) -> Step:
    """Stores what the call came to: a reply was paid for, and is kept somewhere."""
    return settle_or_spool(services, lambda: _settled(services, call, outcome), lambda: _closure(call, outcome))


def store_part(services: Services, call: Call, outcome: Outcome) -> ledger.Ending | Stop:
    """Stores what the call about a part came to, and leaves its job where it is: others are under way."""

    def close() -> ledger.Ending:
        try:
            return services.database.run(ledger.close_call, settlement).ending
        except ledger.AnsweredMeanwhile:
            return services.database.run(ledger.close_call, settlement).ending

    settlement = _settlement(call, outcome)
    ending = settle_or_spool(services, close, lambda: _closure(call, outcome))
    _log_call(call, settlement, ending if isinstance(ending, str) else ending.word)
    if not isinstance(ending, Stop):
        _end_hold(services, call, outcome)
    return ending


def _closure(call: Call, outcome: Outcome) -> Closure:
    return Closure.of(call.job, _settlement(call, outcome), part=call.part)


def _settlement(call: Call, outcome: Outcome) -> ledger.Settlement:
    return settlement_of(call.intent.id, call.model, outcome, call.intent.reserved_usd)


def _settled(services: Services, call: Call, outcome: Outcome) -> Step:
    """Stores what the call came to, and moves the job on, in one commit."""
    settlement = _settlement(call, outcome)
    try:
        ending, step = _settle(services, call, outcome, settlement)
    except ledger.AnsweredMeanwhile:
        ending, step = _settle(services, call, outcome, settlement)
    _log_call(call, settlement, ending)
    _end_hold(services, call, outcome)
    return step


def _end_hold(services: Services, call: Call, outcome: Outcome) -> None:
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
        job = answered(call.job, settlement, work=call.work)
        in_hand = "parse" in services.goes_on_with and may_be_parsed(job)
        closed = _close_and_parse(services, call, settlement, in_hand=in_hand)
        _calibrate(services, call, outcome)
        if closed.ending == "surplus":
            return closed.ending, Stop("surplus")
        if not closed.moved:
            return closed.ending, Stop("stale")
        return closed.ending, Onward(job.but(overdue=closed.overdue) if in_hand else None)
    with services.database.work() as connection:
        ending = ledger.close_call(connection, settlement).ending
        if ending == "surplus":
            return ending, Stop("surplus")
        setback = setback_of(services, call, failure, answered=outcome.answered)
        return ending, remedies.apply(connection, services, setback)


def setback_of(services: Services, call: Call, failure: Failure, *, answered: bool) -> Setback:
    """The setback that the call's job has met, with its remedy."""
    setback = Setback.of(services, call.job, call.prompt, failure, answered=answered)
    if failure.kind == call.state.hold_cause == "auth":
        # Only who first met the wrong key fails: this one has tried it for those who wait for another.
        return replace(setback, remedy=replace(setback.remedy, action="hold"))
    return setback


def _close_and_parse(
    services: Services, call: Call, settlement: ledger.Settlement, *, in_hand: bool
) -> ledger.Closed:
    """Closes the call, and takes its job to parse: in one statement, as almost every call is closed."""
    message_s, job = services.message_s, call.job
    if not call.budgets:
        closed = services.database.run(
            ledger.close_unbudgeted, settlement, job, message_s=message_s, in_hand=in_hand
        )
        if closed is not None:
            return closed
    return services.database.run(ledger.close_call, settlement, job=job, message_s=message_s, in_hand=in_hand)


def _calibrate(services: Services, call: Call, outcome: Outcome) -> None:
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
            services.database.run(learn_picture_tokens, call.model, learned, **sizes)
        else:
            services.database.run(learn_tokens, call.model, learned, estimated=estimated, counted=counted)
    except Exception:
        log.exception("not_calibrated", model=call.model.model)


def _left_to_parse(failure: Failure) -> bool:
    """Half an answer is for parse to refuse: what is wrong with a reply is decided in one place."""
    return failure.kind == "truncated"


def _log_call(call: Call, settlement: ledger.Settlement, ending: str) -> None:
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
