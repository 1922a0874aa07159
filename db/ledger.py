"""The ledger: an intent before each request, the reply and its figures in one commit after it.

No intent, no call. A reply is stored whoever asked for it still waits or not; what was paid for twice is
``surplus``, what may have been paid for is ``possibly_billed``, and neither is ever hidden.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from db import budgets
from db.budgets import Payer
from db.database import one_statement
from db.jobs import Job
from db.statements import statements_of
from db.stored import as_json
from docmill.errors import DocmillError
from docmill.storable import dump_json, storable_count, storable_text, storable_usd

__all__ = [
    "AnsweredMeanwhile",
    "BudgetsUnasked",
    "CallTaken",
    "Closed",
    "Ending",
    "Intent",
    "Opening",
    "Settlement",
    "close_call",
    "doubt",
    "doubt_abandoned",
    "expire_intents",
    "lead_and_open",
    "mark_surplus",
    "note_cached",
    "open_call",
    "open_embedding",
    "open_jobless",
    "previous_reply",
    "reject",
]

SQL, TRANSITIONS = statements_of("ledger"), statements_of("transitions")

LONGEST_NAME = 200
"""Of what a provider calls a model or a request, in characters."""

Ending: TypeAlias = Literal["answered", "surplus", "failed"]
Opening: TypeAlias = Literal["opened", "answered", "stale"]
"""``answered``: another job has the answer to the same work, or the job itself has that of its attempt."""


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A call about to be made."""

    id: UUID
    content_hash: bytes
    input_hash: bytes
    provider: str
    account: str
    model: str
    """The provider's own name."""
    request: Mapping[str, Any]
    remedy: str | None
    reserved_usd: Decimal | None
    owner: str
    part: int = 0
    """Of the document; 0 is the whole."""


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What a call came to. Unknown figures are None."""

    id: UUID
    answered: bool
    reply: Mapping[str, Any] | None
    model_echoed: str | None
    request_id: str | None
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: Decimal | None
    price_source: str | None
    failure_kind: str | None
    http_status: int | None
    possibly_billed: bool
    latency_ms: int | None


@dataclass(frozen=True, kw_only=True)
class Closed:
    """How a call ended, and whether its job moved on with it: not for a surplus answer or a stale message."""

    ending: Ending
    moved: bool = False
    overdue: bool = False
    """Of a job that moved on: whether its deadline has passed."""
    now: bool = True
    """False where nothing was changed: it was closed before, or the ledger never had it."""


class CallTaken(DocmillError):
    """Another delivery of the job's message is calling, or has called."""


class BudgetsUnasked(DocmillError):
    """There are budgets, and nobody asked them for the call."""


class AnsweredMeanwhile(DocmillError):
    """Another call of the same attempt got its answer at this moment."""


def open_call(
    connection: Connection,
    job: Job,
    intent: Intent,
    *,
    work: bytes,
    lease_s: float,
    budgets: Sequence[int] | None,
    answered_within_s: float | None = None,
    joins: bool = False,
) -> Opening:
    """Writes the intent, claims the stage and notes the key of the work, in one statement.

    ``budgets`` are the windows in which its worst case is reserved; None where nobody asked, as there are none.
    ``answered_within_s``: no call is opened for work that another job had answered within so many seconds.
    Nor is one where the attempt, or its part, has its answer: it may have come since the job was loaded.
    ``joins``: another call about a part, under the claim that an earlier one made.
    Raises BudgetsUnasked where there are budgets all the same. Raises CallTaken where another delivery is calling,
    or has called. After either a transaction is lost.
    """
    request = dump_json(intent.request)
    purpose = "part" if intent.part else job.purpose
    values = _opening(intent, job, lease_s, budgets or ()) | {"purpose": purpose, "attempt": job.attempt}
    values |= {**job.fence, "key": work, "prompt": job.prompt, "version": job.version, "request": request}
    values |= {"asked": budgets is not None, "lately_s": answered_within_s, "joins": joins}
    try:
        opened = TRANSITIONS["open_call"].one(connection, values)
    except IntegrityError as error:  # calls_one_open, calls_answered
        raise CallTaken from error
    if opened.budgets and budgets is None:
        raise BudgetsUnasked
    if opened.answered:
        return "answered"
    return "opened" if opened.calls else "stale"


def lead_and_open(
    connection: Connection, job: Job, intent: Intent, *, work: bytes, lease_s: float, answered_within_s: float
) -> bool:
    """Opens the first call of a job that comes straight from context, in one statement: it leads the work, whose
    flight nobody had begun, and the row has what context kept.

    False where anything was in its way, an answer to the same work of late or to this attempt, too; the job stands
    where it stood.
    Raises BudgetsUnasked, CallTaken, as :func:`open_call`.
    """
    values = _opening(intent, job, lease_s, ()) | {"purpose": job.purpose, "attempt": job.attempt, "asked": False}
    values |= {**job.fence, "key": work, "prompt": job.prompt, "version": job.version}
    values |= {"request": dump_json(intent.request), "lately_s": answered_within_s}
    values |= {"kept": as_json(job.context), "chosen": job.model}
    try:
        opened = TRANSITIONS["lead_and_open"].one(connection, values)
    except IntegrityError as error:  # calls_one_open, calls_answered
        raise CallTaken from error
    if opened.budgets and not opened.calls:
        raise BudgetsUnasked
    return bool(opened.calls)


def open_embedding(
    connection: Connection,
    job: Job,
    intent: Intent,
    *,
    lease_s: float,
    budgets: Sequence[int],
) -> bool:
    """Writes the intent of a call for vectors, and claims its job's stage, or keeps it claimed.

    False for a stale message.
    """
    values = _opening(intent, job, lease_s, budgets) | {"purpose": "embed", "attempt": 0, "asked": True}
    values |= {**job.fence, "joins": True}
    values |= dict.fromkeys(("key", "prompt", "version", "request", "lately_s"))
    return bool(TRANSITIONS["open_call"].one(connection, values).calls)


def open_jobless(
    connection: Connection,
    payer: Payer,
    intent: Intent,
    *,
    purpose: str,
    lease_s: float,
    budgets: Sequence[int],
    attempt: int = 0,
    prompt: str | None = None,
    version: str | None = None,
) -> None:
    """Writes the intent of a call that belongs to no job: a question's, or a trial's. Its texts are not kept."""
    values = _opening(intent, payer, lease_s, budgets) | {"purpose": purpose, "attempt": attempt, "asked": True}
    values |= {"prompt": prompt, "version": version, "joins": False}
    values |= dict.fromkeys(("id", "epoch", "stage", "key", "request", "lately_s"))
    TRANSITIONS["open_call"].one(connection, values)


def _opening(intent: Intent, payer: Payer, lease_s: float, budgets: Sequence[int]) -> dict[str, object]:
    payers = {"tenant": payer.tenant, "feature": payer.feature, "usr": payer.usr}
    return {**vars(intent), **payers, "call_id": intent.id, "lease_s": lease_s, "budgets": list(budgets)}


def close_call(
    connection: Connection,
    settlement: Settlement,
    *,
    job: Job | None = None,
    message_s: float | None = None,
    in_hand: bool = False,
) -> Closed:
    """Stores what the call came to, whatever became of its job: a late answer clears the doubt about it.

    Takes the ``job``, where one is given, to parse with it; of its owner, if that has it ``in_hand``. The call's
    budgets get back what they reserved for it, unless it is unknown what it cost. Where another call of the
    attempt has its answer, this one is ``surplus``.
    Raises AnsweredMeanwhile where that one was stored at the same moment; the transaction is lost then, and to be
    done again.
    """
    closed = _close(connection, settlement, job, message_s, settles=True, in_hand=in_hand)
    if closed is None:
        return Closed(ending=_ending(settlement), now=False)
    if closed.budgets and not closed.unknown:
        reserved, cost = closed.reserved_usd, closed.cost_usd or Decimal(0)
        budgets.settle(connection, closed.budgets, reserved_usd=reserved, cost_usd=cost)
    return Closed(ending=closed.state, moved=closed.moved, overdue=closed.overdue)


@one_statement
def close_unbudgeted(
    connection: Connection, settlement: Settlement, job: Job, *, message_s: float, in_hand: bool = False
) -> Closed | None:
    """As :func:`close_call`, in one statement, which commits by itself, where no budget covers the call.

    None, with nothing changed, where one does, as one that was set meanwhile may, or where it was closed before.
    """
    closed = _close(connection, settlement, job, message_s, settles=False, in_hand=in_hand)
    return closed and Closed(ending=closed.state, moved=closed.moved, overdue=closed.overdue)


def _close(
    connection: Connection,
    settlement: Settlement,
    job: Job | None,
    message_s: float | None,
    *,
    settles: bool,
    in_hand: bool,
) -> Any | None:
    values = {**_storable(settlement), "call_id": settlement.id, "ending": _ending(settlement)}
    values |= job.fence if job is not None else {"id": None, "epoch": None, "stage": None}
    values |= {
        "to": None if job is None else "parse",
        "message_s": message_s,
        "settles": settles,
        "in_hand": in_hand,
    }
    try:
        return TRANSITIONS["close_call"].first(connection, values)
    except IntegrityError as error:  # calls_answered
        raise AnsweredMeanwhile from error


def _storable(settlement: Settlement) -> dict[str, object]:
    """What of it the ledger has a place for; a figure that no call comes to is unknown."""
    told = vars(settlement)
    return {
        "answered": bool(settlement.answered),
        "possibly_billed": bool(settlement.possibly_billed),
        "reply": None if settlement.reply is None else dump_json(settlement.reply),
        "cost_usd": storable_usd(settlement.cost_usd),
        **{name: storable_count(told[name]) for name in COUNTS},
        **{name: None if told[name] is None else storable_text(str(told[name]), LONGEST_NAME) for name in NAMES},
    }


COUNTS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "http_status", "latency_ms")
NAMES = ("model_echoed", "request_id", "price_source", "failure_kind")


def _ending(settlement: Settlement) -> Ending:
    return "answered" if settlement.answered else "failed"


def note_cached(
    connection: Connection, jobs: Sequence[int], *, layer: str, model: str, saved_usd: Decimal | None
) -> None:
    """Writes a call that was not made, for each job whose answer was known: it saved what the first one cost."""
    values: dict[str, object] = {"jobs": list(jobs), "layer": layer, "model": model, "saved_usd": saved_usd}
    values |= {"part": 0}
    values |= dict.fromkeys(("id", "epoch", "stage", "content_hash", "input_hash", "request", "reply"))
    SQL["note_cached"].count(connection, values)


def reject(connection: Connection, job: Job) -> None:
    """Notes that what the present attempt's answer did cost was spent for nothing: another attempt follows."""
    SQL["reject"].count(connection, {"job": job.id, "attempt": job.attempt})


def mark_surplus(connection: Connection, call_id: UUID) -> None:
    """Notes that another call had brought all that an answered one did."""
    SQL["mark_surplus"].count(connection, {"id": call_id})


def expire_intents(connection: Connection, calls: Sequence[UUID]) -> int:
    """Closes those of the intents whose lease ran out, whatever their job's state; their jobs' histories say so.

    The outcome of such a call is unknown, so it may be billed.
    """
    return TRANSITIONS["doubt_intents"].count(connection, {"calls": list(calls), "early": False})


def doubt_abandoned(connection: Connection, calls: Sequence[UUID]) -> int:
    """Closes intents whose caller is gone, before their leases run out; their jobs are looked at now."""
    return TRANSITIONS["doubt_intents"].count(connection, {"calls": list(calls), "early": True})


@one_statement
def doubt(connection: Connection, call_id: UUID) -> None:
    """Closes an intent whose reply is known to be lost, before its lease runs out; its job is looked at soon."""
    TRANSITIONS["doubt_intents"].count(connection, {"calls": [call_id], "early": True})


@one_statement
def previous_reply(connection: Connection, job: Job) -> str | None:
    """Reads what the model said in the attempt before, for a correction."""
    said: str | None = SQL["previous_reply"].scalar(connection, {"job": job.id, "attempt": job.attempt - 1})
    return said
