"""Where the work stands: what is on its way, what is held and for what, what failed, what waits for a person.

One look for the overview, `docmill doctor` and `/metrics` alike. It takes milliseconds however many jobs there
are: each part reads a bounded number of rows, and says so where there are more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from db import budget_admin, fleet
from db.budget_admin import Budget
from db.fleet import Trouble
from db.statements import statements_of

__all__ = [
    "MOST",
    "MOVED",
    "PARTS",
    "Held",
    "Snapshot",
    "facets",
    "reviews_waiting",
    "snapshot",
    "tenants",
]

SQL = statements_of("overview")

MOST = 5_000
"""Rows of a tenant that one part reads."""
MOVED = 10_000
"""Of what came in or ended: so many in an hour are counted."""
MOST_TENANTS = 200
PARTS = 12
"""Of the last hour, five minutes each."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Jobs that wait in Postgres for the same thing."""

    wait: str
    """rate, budget or flight."""
    held_for: str
    """Of ``rate``: a model's limits, or, as ``hold:account/model``, the end of its hold."""
    budget_id: int | None
    """Of ``budget``: the series."""
    jobs: int
    until: datetime
    """When the first of them is looked at again, if nothing happens before."""
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class FailedAlike:
    """Jobs that failed of the same thing in the last hour."""

    kind: str
    prompt: str
    last: int
    """The latest of them."""
    jobs: int
    at: datetime
    message: str
    """With … for each number."""


@dataclass(frozen=True, kw_only=True)
class ModelHeld:
    """A model that is asked by nobody, or by one job that tries."""

    account: str
    model: str
    cause: str
    until: datetime | None


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """How the work of some tenants stood at a moment."""

    at: datetime
    reviews: int
    review_since: datetime | None
    """When the oldest of them came to its person."""
    held: Sequence[Held]
    unsent: int
    under_way: Mapping[str, int]
    """By stage."""
    oldest: datetime | None
    """When the job was submitted that has been open for longest."""
    ends: Mapping[str, Sequence[int]]
    """By state, in each part of the last hour, the oldest first."""
    submitted: Sequence[int]
    failures: Sequence[FailedAlike]
    budgets: Sequence[Budget]
    models: Sequence[ModelHeld]
    workers: Mapping[str, tuple[int, int]]
    """How many of each queue were seen lately, and their slots."""
    troubles: Sequence[Trouble]

    def ended(self, state: str) -> int:
        """Counts what ended so in the last hour."""
        return sum(self.ends.get(state, ()))


def tenants(connection: Connection) -> list[str]:
    """Those who have jobs."""
    return [row.tenant for row in SQL["tenants"].rows(connection, {"most": MOST_TENANTS})]


def reviews_waiting(connection: Connection, tenant: str) -> int:
    """Counts the answers that wait for a person, at most :data:`MOST`."""
    return int(SQL["reviews"].one(connection, {"tenants": [tenant], "most": MOST}).jobs)


def facets(connection: Connection, tenant: str, *, most: int = 1_000) -> dict[str, int]:
    """Counts the tenant's jobs in each state that has an index of its own, at most ``most`` of each."""
    rows = SQL["facets"].rows(connection, {"tenant": tenant, "most": most})
    return {row.state: row.jobs for row in rows}


def snapshot(connection: Connection, whose: Sequence[str], *, paced: bool = True) -> Snapshot:
    """Looks at the work of these tenants, and at the fleet.

    Unless it is to be ``paced``, what came in and ended is not counted: after a busy hour that is most of it.
    """
    values = {"tenants": list(whose), "most": MOST, "moved": MOVED}
    reviews = SQL["reviews"].one(connection, values)
    held = SQL["held"].rows(connection, values, of=Held)
    unsent = SQL["unsent"].one(connection, values)
    under_way = SQL["under_way"].rows(connection, values)
    opened = [unsent.oldest, *(row.oldest for row in under_way), *(row.oldest for row in held)]
    return Snapshot(
        at=SQL["now"].scalar(connection),
        reviews=reviews.jobs,
        review_since=reviews.oldest,
        held=held,
        unsent=unsent.jobs,
        under_way={row.stage: row.jobs for row in under_way},
        oldest=min((at for at in opened if at is not None), default=None),
        ends=_parts(SQL["ends"].rows(connection, values)) if paced else {},
        submitted=_parts(SQL["submitted"].rows(connection, values) if paced else ()).get("", [0] * PARTS),
        failures=SQL["failures"].rows(connection, values, of=FailedAlike),
        budgets=budget_admin.listed(connection),
        models=SQL["models_held"].rows(connection, of=ModelHeld),
        workers=_workers(fleet.seen(connection)),
        troubles=fleet.troubles(connection),
    )


def _parts(rows: Sequence[Any]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(lambda: [0] * PARTS)
    for row in rows:
        found[getattr(row, "state", "")][max(0, row.part)] += row.jobs
    return dict(found)


def _workers(seen: Sequence[tuple[str, str, int]]) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for _, queue, slots in seen:
        workers, before = found.get(queue, (0, 0))
        found[queue] = (workers + 1, before + slots)
    return found
