"""The ledger: an intent before each request, the reply and its figures in one commit after it.

No intent, no call. A reply is stored whoever asked for it still waits or not; what was paid for twice is
``surplus``, what may have been paid for is ``possibly_billed``, and neither is ever hidden.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from db.jobs import Job

__all__ = [
    "Answer",
    "Ending",
    "Intent",
    "Settlement",
    "answer_of",
    "close_call",
    "expire_intents",
    "open_call",
    "previous_reply",
]

Ending: TypeAlias = Literal["answered", "surplus", "failed"]


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


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The reply that an attempt got, word for word."""

    call_id: UUID
    text: str
    finish_reason: str


def open_call(connection: Connection, job: Job, intent: Intent, *, lease_s: float) -> bool:
    """Writes the intent and claims the stage; False where the message is stale or a call is still open.

    Rolls back to where it began in that case, and leaves the caller's transaction usable.
    """
    try:
        with connection.begin_nested() as attempt:
            connection.execute(INSERT_INTENT, {**vars(intent), **_of(job), "lease_s": lease_s})
            connection.execute(
                text("insert into exchanges (call_id, request) values (:id, cast(:request as jsonb))"),
                {"id": intent.id, "request": json.dumps(intent.request, ensure_ascii=False)},
            )
            claimed = connection.execute(CLAIM, {**job.fence, "owner": intent.owner, "lease_s": lease_s}).rowcount
            if not claimed:
                attempt.rollback()
            return bool(claimed)
    except IntegrityError:  # calls_one_open, calls_answered: another delivery is calling, or has called
        return False


INSERT_INTENT = text(
    "insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version,"
    " content_hash, input_hash, provider, account, model, remedy, reserved_usd, lease_until)"
    " select :id, :job_id, :purpose, :attempt,"
    " 1 + coalesce((select max(try) from calls where job_id = :job_id and attempt = :attempt), 0),"
    " 'intent', :tenant, :feature, :usr, :prompt, :version, :content_hash, :input_hash, :provider, :account,"
    " :model, :remedy, :reserved_usd, clock_timestamp() + make_interval(secs => :lease_s)"
)

CLAIM = text(
    "update jobs set state = 'running', wait = 'running', owner = :owner,"
    " wake_at = clock_timestamp() + make_interval(secs => :lease_s)"
    " where id = :id and epoch = :epoch and stage = :stage and wait in ('sent', 'countdown')"
)


def close_call(connection: Connection, settlement: Settlement) -> Ending:
    """Stores what the call came to, whatever became of its job: a late answer clears the doubt about it."""
    ending: Ending = "answered" if settlement.answered else "failed"
    try:
        with connection.begin_nested():
            _close(connection, settlement, ending)
    except IntegrityError:  # calls_answered: this attempt has its answer
        ending = "surplus"
        _close(connection, settlement, ending)
    if settlement.reply is not None:
        connection.execute(
            text("update exchanges set reply = cast(:reply as jsonb) where call_id = :id"),
            {"id": settlement.id, "reply": json.dumps(settlement.reply, ensure_ascii=False)},
        )
    return ending


def _close(connection: Connection, settlement: Settlement, ending: Ending) -> None:
    connection.execute(CLOSE, {**vars(settlement), "ending": ending, "answered": settlement.answered})


CLOSE = text(
    "update calls set state = :ending, model_echoed = :model_echoed, request_id = :request_id,"
    " input_tokens = :input_tokens, cached_tokens = :cached_tokens, output_tokens = :output_tokens,"
    " reasoning_tokens = :reasoning_tokens, cost_usd = :cost_usd, price_source = :price_source,"
    " failure_kind = :failure_kind, http_status = :http_status,"
    " possibly_billed = :possibly_billed, latency_ms = :latency_ms, lease_until = null,"
    " finished_at = clock_timestamp()"
    " where id = :id and (state = 'intent' or (state = 'in_doubt' and :answered))"
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


def answer_of(connection: Connection, job: Job) -> Answer | None:
    """The reply that the job's present attempt has already, paid for or cached."""
    return _answer(connection, job.id, job.attempt)


def previous_reply(connection: Connection, job: Job) -> str | None:
    """What the model said in the attempt before, for a correction."""
    answer = _answer(connection, job.id, job.attempt - 1)
    return answer.text if answer else None


def _answer(connection: Connection, job_id: int, attempt: int) -> Answer | None:
    row = connection.execute(
        text(
            "select c.id, e.reply from calls c join exchanges e on e.call_id = c.id"
            " where c.job_id = :job and c.attempt = :attempt and c.state in ('answered', 'cached')"
        ),
        {"job": job_id, "attempt": attempt},
    ).first()
    if row is None:
        return None
    return Answer(call_id=row.id, text=row.reply["text"], finish_reason=row.reply["finish_reason"])


def _of(job: Job) -> dict[str, object]:
    return {
        "job_id": job.id,
        "purpose": job.purpose,
        "attempt": job.attempt,
        "tenant": job.tenant,
        "feature": job.feature,
        "usr": job.usr,
        "prompt": job.prompt,
        "version": job.version,
    }
