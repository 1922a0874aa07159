"""The ledger: an intent before each request, the reply and its figures in one commit after it.

No intent, no call. A reply is stored whoever asked for it still waits or not; what was paid for twice is
``surplus``, what may have been paid for is ``possibly_billed``, and neither is ever hidden.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db import budgets as purse
from db.flights import LANDED
from db.jobs import FENCE, ONWARD, Job
from db.statements import Statement
from docmill.errors import DocmillError

__all__ = [
    "AnsweredMeanwhile",
    "BudgetsUnasked",
    "CallTaken",
    "Ending",
    "Intent",
    "Opening",
    "Settlement",
    "close_call",
    "close_unbudgeted",
    "expire_intents",
    "open_call",
    "previous_reply",
    "reject",
]

Ending: TypeAlias = Literal["answered", "surplus", "failed"]
Opening: TypeAlias = Literal["opened", "landed", "stale"]
"""``landed``: another job has the answer to the same work."""


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
    latency_ms: int


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
) -> Opening:
    """Writes the intent, claims the stage and notes the key of the work, in one statement.

    ``budgets`` are the windows in which its worst case is reserved; None where nobody asked, as there are none.
    ``answered_within_s``: no call is opened for work that another job had answered within so many seconds.
    Raises BudgetsUnasked where there are budgets all the same. Raises CallTaken where another delivery is calling,
    or has called. After either a transaction is lost.
    """
    request = json.dumps(intent.request, ensure_ascii=False)
    values = {**vars(intent), **_of(job), **job.fence, "call_id": intent.id, "request": request, "work": work}
    values |= {"lease_s": lease_s, "budgets": list(budgets or ()), "asked": budgets is not None}
    values |= {"lately": answered_within_s}
    try:
        opened = OPEN.one(connection, values)
    except IntegrityError as error:  # calls_one_open, calls_answered
        raise CallTaken from error
    if opened.budgets and budgets is None:
        raise BudgetsUnasked
    if opened.landed:
        return "landed"
    return "opened" if opened.calls else "stale"


# The work's key is that of the first call, and stays through all attempts.
OPEN = Statement(
    f"with landed as ({LANDED}),"
    " claimed as (update jobs set state = 'running', wait = 'running', owner = :owner, flight_key = :work,"
    " budget_id = null, need_usd = null, failure = null,"
    " wake_at = clock_timestamp() + make_interval(secs => :lease_s)"
    " where id = :id and epoch = :epoch and stage = :stage and wait in ('sent', 'countdown')"
    " and (:asked or not exists (select from budgets)) and not exists (select from landed) returning id),"
    " intent as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt,"
    " version, content_hash, input_hash, provider, account, model, remedy, reserved_usd, budgets, lease_until)"
    " select :call_id, id, :purpose, :attempt,"
    " 1 + coalesce((select max(try) from calls where job_id = :id and attempt = :attempt), 0),"
    " 'intent', :tenant, :feature, :usr, :prompt, :version, :content_hash, :input_hash, :provider, :account,"
    " :model, :remedy, cast(:reserved_usd as numeric), cast(:budgets as bigint[]),"
    " clock_timestamp() + make_interval(secs => :lease_s)"
    " from claimed returning id),"
    " said as (insert into exchanges (call_id, request) select id, cast(:request as jsonb) from intent)"
    " select count(*) as calls, exists (select from budgets) as budgets, exists (select from landed) as landed"
    " from claimed"
)


def close_call(connection: Connection, settlement: Settlement) -> Ending:
    """Stores what the call came to, whatever became of its job: a late answer clears the doubt about it.

    Its budgets get back what they reserved for it, unless it is unknown what it cost. Where another call of the
    attempt has its answer, this one is ``surplus``. Raises AnsweredMeanwhile where that one was stored at the same
    moment; the transaction is lost then, and to be done again.
    """
    closed = _close(connection, CLOSE, settlement, {})
    if closed is None:
        return _ending(settlement)  # it was closed before, and stays as it was
    if closed.budgets and not closed.unknown:
        reserved, cost = closed.reserved_usd, closed.cost_usd or Decimal(0)
        purse.settle(connection, closed.budgets, reserved_usd=reserved, cost_usd=cost)
    state: Ending = closed.state
    return state


def close_unbudgeted(
    connection: Connection, settlement: Settlement, job: Job, *, message_s: float
) -> tuple[Ending, bool] | None:
    """As :func:`close_call`, and takes the job to parse in the same statement, where no budget covers the call.

    The call's ending, and whether the job moved; it does not for a surplus answer or a stale message. None, with
    nothing changed, where a budget covers it, as one that was set meanwhile may, or where it was closed before.
    """
    values = {**job.fence, "to": "parse", "message_s": message_s}
    closed = _close(connection, CLOSE_AND_PARSE, settlement, values)
    return None if closed is None else (closed.state, bool(closed.moved))


def _close(
    connection: Connection, closing: Statement, settlement: Settlement, values: Mapping[str, object]
) -> Any | None:
    reply = None if settlement.reply is None else json.dumps(settlement.reply, ensure_ascii=False)
    told = {**vars(settlement), "call_id": settlement.id, "ending": _ending(settlement), "reply": reply}
    try:
        return closing.first(connection, {**told, **values})
    except IntegrityError as error:  # calls_answered
        raise AnsweredMeanwhile from error


def _ending(settlement: Settlement) -> Ending:
    return "answered" if settlement.answered else "failed"


CLOSED = (
    "closed as (update calls set state = case when :answered and exists (select from calls other"
    " where other.job_id = calls.job_id and other.attempt = calls.attempt and other.id <> calls.id"
    " and other.state = 'answered' and other.purpose <> 'embed') then 'surplus' else :ending end,"
    " model_echoed = :model_echoed, request_id = :request_id,"
    " input_tokens = :input_tokens, cached_tokens = :cached_tokens, output_tokens = :output_tokens,"
    " reasoning_tokens = :reasoning_tokens, cost_usd = :cost_usd, price_source = :price_source,"
    " failure_kind = :failure_kind, http_status = :http_status,"
    " possibly_billed = :possibly_billed, latency_ms = :latency_ms, lease_until = null,"
    " wasted = case when exists (select from jobs where jobs.id = calls.job_id"
    " and jobs.state in ('failed', 'cancelled')) then 'failed' end, finished_at = clock_timestamp()"
    " where id = :call_id and (state = 'intent' or (state = 'in_doubt' and :answered)) and {only}"
    " returning id, state, budgets, reserved_usd, cost_usd,"
    " possibly_billed or (:answered and cost_usd is null) as unknown),"
    " said as (update exchanges set reply = cast(:reply as jsonb) from closed"
    " where call_id = closed.id and cast(:reply as jsonb) is not null)"
)
# The budgets come first: locks are taken in one order.
CLOSE = Statement(
    "with locked as (select id from budgets where id in (select unnest(budgets) from calls where id = :call_id)"
    f" order by id for update), {CLOSED.format(only='(select count(*) from locked) >= 0')}"
    " select state, budgets, reserved_usd, cost_usd, unknown from closed"
)
UNBUDGETED = "calls.budgets = cast('{}' as bigint[])"
CLOSE_AND_PARSE = Statement(
    f"with {CLOSED.format(only=UNBUDGETED)},"
    f" moved as (update jobs set {ONWARD} where {FENCE}"
    " and exists (select from closed where state <> 'surplus') returning id)"
    " select state, (select count(*) from moved) as moved from closed"
)


def reject(connection: Connection, job: Job) -> None:
    """What the present attempt's answer did cost was spent for nothing: another attempt follows."""
    connection.execute(REJECT, {"job": job.id, "attempt": job.attempt})


REJECT = text(
    "update calls set wasted = 'rejected'"
    " where job_id = :job and attempt = :attempt and state = 'answered' and purpose <> 'embed'"
)


def expire_intents(connection: Connection) -> int:
    """Closes intents whose lease ran out, whatever their job's state; their jobs' histories say so.

    The outcome of such a call is unknown, so it may be billed.
    """
    return connection.execute(EXPIRE).rowcount


EXPIRE = text(
    "with expired as (update calls set state = 'in_doubt', possibly_billed = true, failure_kind = 'in_doubt',"
    " lease_until = null, finished_at = clock_timestamp()"
    " where state = 'intent' and lease_until < clock_timestamp() returning job_id, purpose, attempt, model)"
    " update jobs set history = history || jsonb_build_array(jsonb_build_object("
    "'kind', 'in_doubt', 'purpose', expired.purpose, 'attempt', expired.attempt, 'model', jobs.model,"
    " 'remedy', 'retry', 'message', 'the worker was lost while the call was open'))"
    " from expired where jobs.id = expired.job_id"
)


def previous_reply(connection: Connection, job: Job) -> str | None:
    """What the model said in the attempt before, for a correction."""
    row = connection.execute(
        text(
            "select e.reply ->> 'text' as said from calls c join exchanges e on e.call_id = c.id"
            " where c.job_id = :job and c.attempt = :attempt and c.state in ('answered', 'cached')"
        ),
        {"job": job.id, "attempt": job.attempt - 1},
    ).first()
    return row.said if row else None


def _of(job: Job) -> dict[str, object]:
    return {
        "purpose": job.purpose,
        "attempt": job.attempt,
        "tenant": job.tenant,
        "feature": job.feature,
        "usr": job.usr,
        "prompt": job.prompt,
        "version": job.version,
    }
