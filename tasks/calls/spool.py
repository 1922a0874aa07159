"""Replies that were paid for and could not be stored: files, until the database is back.

A file appears whole (temporary name, fsync, rename) and goes once its call is closed. Closing a call again
changes nothing, so a crash in between does no harm.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from db import embeddings, ledger, transitions
from db.jobs import Drive, Job
from db.stages import Stage
from tasks.services import Services
from tasks.stages.step import Stop

__all__ = ["Spooled", "drain", "settle_or_spool", "spool"]

log = structlog.get_logger()

HELD_S = 300.0
AGAIN_S = 1.0
Settled = TypeVar("Settled")


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """A settlement, and the drive that its call belongs to."""

    job_id: int
    epoch: int
    settlement: ledger.Settlement
    embedding_model: str | None = None
    """Of an embedding call; its vectors by the hex digests of their texts."""
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, settlement: ledger.Settlement) -> Spooled:
        return cls(job_id=job.id, epoch=job.epoch, settlement=settlement)


def spool(folder: Path, owner: str, spooled: Spooled) -> None:
    """Writes the settlement under its call's id. Raises OSError where the disk does not take it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{owner}-{spooled.settlement.id}"
    try:
        with draft.open("w", encoding="utf-8") as file:
            json.dump(_plain(spooled), file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / f"{spooled.settlement.id}.json")
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def settle_or_spool(
    services: Services, settle: Callable[[], Settled], spooled: Callable[[], Spooled]
) -> Settled | Stop:
    """Settles a call; where the database is away, what was paid for goes to the spool.

    Where the spool's disk is full too, it stays in memory, and both are tried again and again. Raises OSError
    after five minutes of that: the call is in doubt by then, and its thread has other work to do.
    """
    give_up_at = time.monotonic() + HELD_S
    while True:
        try:
            return settle()
        except SQLAlchemyError as error:
            log.warning("not_settled", error=type(error).__name__)
        kept = spooled()
        try:
            spool(services.spool, services.owner, kept)
        except OSError as error:
            log.error("spool_refused", call=str(kept.settlement.id), error=error.strerror)
            if time.monotonic() > give_up_at:
                raise
            time.sleep(AGAIN_S)
        else:
            log.warning("spooled", call=str(kept.settlement.id))
            return Stop("spooled")


def drain(folder: Path, engine: Engine, *, message_s: float) -> Iterator[Drive]:
    """Closes the calls of all spooled replies. What it yields is committed, and still to be published.

    Whoever spooled a reply may be gone, so each worker drains them all; two at once do the same thing.
    """
    for file, spooled in _spooled(folder):
        with engine.begin() as connection:
            if spooled.embedding_model is not None:
                vectors = {bytes.fromhex(digest): vector for digest, vector in spooled.vectors.items()}
                embeddings.keep(connection, spooled.embedding_model, vectors)
            ledger.close_call(connection, spooled.settlement)
            drive = _move_on(connection, spooled, message_s)
        file.unlink(missing_ok=True)
        if drive is not None:
            yield drive


def _move_on(connection: Any, spooled: Spooled, message_s: float) -> Drive | None:
    """The job that still waits for the reply goes to parse; where there was no answer, the call is made again.

    An index job goes on with the texts that have no vector yet.
    """
    stage: Stage = "complete" if spooled.embedding_model is None else "embed"
    answered: Stage = "parse" if spooled.embedding_model is None else "embed"
    move = transitions.Move(
        id=spooled.job_id,
        epoch=spooled.epoch,
        stage=stage,
        to=answered if spooled.settlement.answered else stage,
        cause="spooled",
    )
    return transitions.start_drive(connection, move, message_s=message_s)


def _spooled(folder: Path) -> Iterator[tuple[Path, Spooled]]:
    for file in sorted(folder.glob("*.json")):
        try:
            spooled = _read(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            continue  # another worker was faster
        except (ValueError, KeyError, TypeError, ArithmeticError) as error:
            # Not ours, or damaged: it stays for a person, and keeps nothing else from its place.
            log.error("spool_unreadable", file=str(file), error=type(error).__name__)
            file.rename(file.with_suffix(".unreadable"))
            continue
        yield file, spooled


def _plain(spooled: Spooled) -> dict[str, Any]:
    settlement = dict(vars(spooled.settlement))
    cost = settlement["cost_usd"]
    settlement |= {"id": str(settlement["id"]), "cost_usd": None if cost is None else str(cost)}
    return {**vars(spooled), "vectors": dict(spooled.vectors), "settlement": settlement}


def _read(plain: dict[str, Any]) -> Spooled:
    settlement = plain["settlement"]
    cost = settlement["cost_usd"]
    settlement |= {"id": UUID(settlement["id"]), "cost_usd": None if cost is None else Decimal(cost)}
    return Spooled(**{**plain, "settlement": ledger.Settlement(**settlement)})
