"""Acting on many jobs at once: trying them again, and cancelling them. What it costs is said before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, exists, func, literal, or_, select

from db import transitions
from db.database import Database
from db.fleet import LANES
from db.job_search import TURNS
from db.statements import statements_of
from db.submit import submit_fresh
from db.tables import jobs
from db.transitions import SAME_ATTEMPT
from db.wanted import Wanted
from docmill.errors import JobNotFit, JobUnknown

__all__ = ["Done", "Price", "cancel", "ids_of", "price_of_retry", "retry"]

SQL = statements_of("bulk")

A_COMMIT = 100
OPEN = ("queued", "running", "held")
AGAIN = ("failed",)
AFRESH = ("failed", "needs_review", "cancelled")
"""Which are meant where nobody names a state: to pay again for what is done, it has to be asked for."""


@dataclass(frozen=True, kw_only=True)
class Price:
    """What trying jobs again costs, as far as can be said before."""

    jobs: int
    free: int
    """So many have a reply that is paid for, and use it."""
    usd: Decimal
    """About so much for the others, by what they cost before, or others of their prompt."""
    unknown: int
    """Of so many nothing is known."""

    @property
    def told(self) -> str:
        """In a sentence."""
        paid = self.jobs - self.free
        parts = [f"{self.free:,} have replies that are paid for, and cost nothing"] if self.free else []
        known = paid - self.unknown
        parts += [f"{known:,} cost about {self.usd:.6f} USD"] if known else []
        parts += [f"{self.unknown:,} cost nobody knows how much"] if self.unknown else []
        return f"{self.jobs:,} jobs: {'; '.join(parts)}" if parts else "no job"


@dataclass(kw_only=True)
class Done:
    """What became of the jobs."""

    made: dict[int, int] = field(default_factory=dict)
    """By the id that was named; to another id where a new job was made of it."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why nothing was done."""


def ids_of(
    connection: Connection,
    wanted: Wanted,
    states: Sequence[str],
    *,
    limit: int | None = None,
    nonce: str | None = None,
    stood_for: bool = False,
) -> list[int]:
    """The jobs that are meant, by their ids: of the ``states``, where those asked for name none and no ids.

    A filter does not mean those that were asked afresh: a new job stands for them (``stood_for`` asks for just
    those), and who asks once more pays no document twice. Those asked under this very ``nonce`` are meant still.
    """
    meant = wanted if wanted.states or wanted.ids is not None else replace(wanted, states=states)
    conditions = meant.conditions()
    if wanted.ids is None and set(meant.states) <= set(OPEN):
        conditions.append(or_(*map(_is_open, meant.states)))
    if wanted.ids is None:
        asked = _asked_afresh(nonce)
        conditions.append(asked if stood_for else ~asked)
    found = select(jobs.c.id).where(*conditions).order_by(jobs.c.id).limit(limit)
    return list(connection.execute(found).scalars())


def _is_open(state: str) -> ColumnElement[bool]:
    """Whether a job is in the state, as the index of those says it: among all jobs they are few."""
    found = jobs.c.state == literal(state, literal_execute=True)
    return found & jobs.c.turn.in_(TURNS) & jobs.c.lane.in_(LANES) if state == "queued" else found


def _asked_afresh(nonce: str | None) -> ColumnElement[bool]:
    """Whether it has ended, and a new job was made of it, by other than the nonce."""
    later = jobs.alias("later")
    found = exists().where(later.c.afresh_of == jobs.c.id)
    if nonce is not None:
        found = found.where(later.c.idem_key.is_distinct_from(func.concat(_key_of(nonce), jobs.c.id)))
    return jobs.c.wait.is_(None) & found


def _key_of(nonce: str) -> str:
    """With the job's id behind it, what a new job under the nonce is known by."""
    return f"fresh:{nonce}:"


def price_of_retry(connection: Connection, ids: Sequence[int], *, fresh: bool) -> Price:
    """What it costs to try the jobs again."""
    values = {"ids": list(ids), "fresh": fresh, "same_attempt": sorted(SAME_ATTEMPT)}
    row = SQL["price_of_retry"].one(connection, values)
    return Price(jobs=row.jobs, free=row.free, usd=row.usd, unknown=row.unknown)


def retry(
    database: Database,
    ids: Sequence[int],
    *,
    fresh: bool,
    deadline_at: datetime | None = None,
    nonce: str | None = None,
    once: bool = False,
) -> Done:
    """Tries the jobs again, or makes new ones of them; what is done of it is kept, whatever comes after.

    Under the same ``nonce`` one new job is made of each, however often it is asked for; ``once``, under any.
    """

    def again(connection: Connection, job_id: int) -> int:
        if fresh:
            key = None if nonce is None else f"{_key_of(nonce)}{job_id}"
            return submit_fresh(connection, job_id, deadline_at=deadline_at, idem_key=key, once=once).id
        transitions.retry(connection, job_id, deadline_at=deadline_at)
        return job_id

    return _each(database, ids, again)


def cancel(database: Database, ids: Sequence[int]) -> Done:
    """Ends the jobs; a call that is open is let finish, and paid."""

    def end(connection: Connection, job_id: int) -> int:
        transitions.cancel(connection, job_id)
        return job_id

    return _each(database, ids, end)


def _each(database: Database, ids: Sequence[int], act: Callable[[Connection, int], int]) -> Done:
    done = Done()
    for start in range(0, len(ids), A_COMMIT):
        with database.work() as connection:
            for job_id in ids[start : start + A_COMMIT]:
                try:
                    done.made[job_id] = act(connection, job_id)
                except (JobNotFit, JobUnknown) as error:
                    done.refused[job_id] = str(error)
    return done
