"""Embeddings, kept by the hash of their text: each is asked for by one call in the whole fleet, and paid once.

A row without a vector is a claim: the call that will bring it is open, until ``claimed_until``. What claims, and
what keeps vectors, locks embeddings first, then as everywhere budgets, calls and jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from db.budgets import Payer
from db.jobs import FENCE, Job
from db.ledger import Intent

__all__ = [
    "claim",
    "forget_questions",
    "keep",
    "known",
    "mark_surplus",
    "open_call",
    "open_question",
    "release",
    "vector_of",
]


def known(connection: Connection, model: str, digests: Sequence[bytes]) -> set[bytes]:
    """Those of the texts that have a vector of the model."""
    rows = connection.execute(
        text(
            "select sha256 from embeddings where model = :model and v is not null"
            " and sha256 = any(cast(:digests as bytea[]))"
        ),
        {"model": model, "digests": list(digests)},
    )
    return {bytes(row.sha256) for row in rows}


def claim(
    connection: Connection, model: str, digests: Sequence[bytes], call_id: UUID, *, lease_s: float
) -> set[bytes]:
    """Those of the texts that this call may ask for; the others have their vector, or another call asks for it."""
    rows = connection.execute(
        text(
            "insert into embeddings (model, sha256, call_id, claimed_until)"
            " select :model, sha256, :call_id, clock_timestamp() + make_interval(secs => :lease_s)"
            " from unnest(cast(:digests as bytea[])) as sha256"
            " on conflict (model, sha256) do update set call_id = excluded.call_id,"
            " claimed_until = excluded.claimed_until"
            " where embeddings.v is null and embeddings.claimed_until < clock_timestamp() returning sha256"
        ),
        # In one order everywhere, so that two jobs with the same texts wait for each other and not in a circle.
        {"model": model, "digests": sorted(digests), "call_id": call_id, "lease_s": lease_s},
    )
    return {bytes(row.sha256) for row in rows}


def release(connection: Connection, call_id: UUID) -> None:
    """The call was not made, or brought nothing: anybody may ask for its texts."""
    connection.execute(
        text("update embeddings set claimed_until = '-infinity' where call_id = :call_id and v is null"),
        {"call_id": call_id},
    )


def keep(connection: Connection, model: str, vectors: Mapping[bytes, Sequence[float]]) -> int:
    """Keeps the vectors; how many are new. One that is there already stays as it is."""
    digests = sorted(vectors)
    return connection.execute(
        text(
            "insert into embeddings (model, sha256, v)"
            " select :model, sha256, cast(vector as halfvec)"
            " from unnest(cast(:digests as bytea[]), cast(:vectors as text[])) as made (sha256, vector)"
            " on conflict (model, sha256) do update set v = excluded.v where embeddings.v is null"
        ),
        {"model": model, "digests": digests, "vectors": [str(list(vectors[each])) for each in digests]},
    ).rowcount


def vector_of(connection: Connection, model: str, digest: bytes) -> list[float] | None:
    """A text's vector, where it is known."""
    found = connection.execute(
        text("select cast(v as real[]) from embeddings where model = :model and sha256 = :digest"),
        {"model": model, "digest": digest},
    ).scalar()
    return None if found is None else list(found)


def mark_surplus(connection: Connection, call_id: UUID) -> None:
    """Another call has brought all of its vectors already."""
    connection.execute(
        text("update calls set state = 'surplus' where id = :id and state = 'answered'"), {"id": call_id}
    )


def open_call(connection: Connection, job: Job, intent: Intent, *, lease_s: float, budgets: Sequence[int]) -> bool:
    """Writes the intent and claims the stage, or keeps it claimed; False for a stale message."""
    values = {**vars(intent), **job.fence, "call_id": intent.id, "lease_s": lease_s, "budgets": list(budgets)}
    return bool(connection.execute(OPEN, values).scalar_one())


OPEN = text(
    "with claimed as (update jobs set state = 'running', wait = 'running', owner = :owner, redrives = 0,"
    " budget_id = null, need_usd = null, failure = null,"
    " wake_at = clock_timestamp() + make_interval(secs => :lease_s)"
    f" where {FENCE} and (wait in ('sent', 'countdown') or wait = 'running' and owner = :owner)"
    " returning id, tenant, feature, usr),"
    " intent as (insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, content_hash,"
    " input_hash, provider, account, model, remedy, reserved_usd, budgets, lease_until)"
    " select :call_id, id, 'embed', 0,"
    " 1 + coalesce((select max(try) from calls where job_id = :id and purpose = 'embed'), 0),"
    " 'intent', tenant, feature, usr, :content_hash, :input_hash, :provider, :account, :model, :remedy,"
    " cast(:reserved_usd as numeric), cast(:budgets as bigint[]),"
    " clock_timestamp() + make_interval(secs => :lease_s) from claimed)"
    " select count(*) from claimed"
)


def open_question(
    connection: Connection, payer: Payer, intent: Intent, *, lease_s: float, budgets: Sequence[int]
) -> None:
    """Writes the intent of a question's call, which belongs to no job."""
    payer_of = {"tenant": payer.tenant, "feature": payer.feature, "usr": payer.usr}
    values = {**vars(intent), **payer_of, "call_id": intent.id, "lease_s": lease_s, "budgets": list(budgets)}
    connection.execute(OPEN_QUESTION, values)
    connection.execute(
        text("update embeddings set question = true where call_id = :id and v is null"), {"id": intent.id}
    )


OPEN_QUESTION = text(
    "insert into calls (id, purpose, attempt, try, state, tenant, feature, usr, content_hash, input_hash,"
    " provider, account, model, remedy, reserved_usd, budgets, lease_until)"
    " values (:call_id, 'embed', 0, 1, 'intent', :tenant, :feature, :usr, :content_hash, :input_hash,"
    " :provider, :account, :model, :remedy,"
    " cast(:reserved_usd as numeric), cast(:budgets as bigint[]),"
    " clock_timestamp() + make_interval(secs => :lease_s))"
)


def forget_questions(connection: Connection, *, after_days: float) -> int:
    """Takes away the vectors of questions that were asked so long ago, unless a document has the same words."""
    return connection.execute(
        text(
            "delete from embeddings where question"
            " and claimed_until < clock_timestamp() - make_interval(secs => :seconds)"
            " and not exists (select from chunks where chunks.sha256 = embeddings.sha256)"
        ),
        {"seconds": after_days * 86_400},
    ).rowcount
