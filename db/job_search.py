"""Finding the latest jobs of a tenant that fit, in milliseconds however many there are.

The latest of the tenant's jobs are looked at first: what is asked for is most often among them. Then those that
have ended are found by an index of what is said of them and of their paths (``docmill_search_keys``), if it names
few, and those that have not by the indexes that workers find them by. What many had, but none of late, is looked
for further back, and no further than :data:`FURTHEST`: then it is told where the search stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from itertools import product
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import array as pg_array

from db.statements import statements_of
from db.tables import jobs
from db.wanted import Wanted

__all__ = ["FEW", "FURTHEST", "TURNS", "Found", "latest"]

SQL = statements_of("job_search")

A_LOOK = 1_000
"""Jobs that are looked at one after the other, by their ids."""
FURTHEST = 10_000
"""So many of the tenant's jobs are looked at so."""
FEW = 3_000
"""So many that have not ended, and that an index names, are looked at all at once."""
FEW_ENDED = 300
"""So many that have ended: they are spread over all of the table, and the newest are found for less."""
NEIGHBOURS = 14
"""Bits of the ids of jobs that the index has as near to each other; it begins with the others."""
MOST_NEIGHBOURHOODS = 40
"""So many are asked for, one after the other."""
FEW_NEIGHBOURHOODS = 8
"""So few take less than a look at whether there are few jobs in all of them."""
MARGIN = timedelta(hours=1)
"""By which the times of jobs may go back while their ids go on."""
NEAR = 500
"""Ids: a time is not looked for more closely."""
ENDED = ("done", "needs_review", "failed", "cancelled")
TURNS = ("new", "begun", "scans", "apart")
"""In which queued jobs start: their index has them so."""
SHORTEST_NAME = 3
"""Bytes of a name that the index knows."""
MOST_PLACES = 6
"""In a name whose three bytes the index is asked for: each more takes time, and leaves out little."""
KEYS: ColumnElement[Any] = literal_column(
    "docmill_search_keys(jobs.tenant, array['state ' || jobs.state, 'prompt ' || jobs.prompt,"
    " 'version ' || jobs.version, 'feature ' || jobs.feature, 'user ' || jobs.usr, 'run ' || jobs.run_id::text,"
    " 'cause ' || (jobs.failure ->> 'kind'), 'near ' || (jobs.id >> 14)::text], lower(jobs.path))",
    ARRAY(Integer),
)
"""As the index has it, word for word."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Jobs that fit, and how far was looked for them."""

    ids: Sequence[int]
    looked_to: int | None = None
    """The last one that was looked at, where others may fit behind it."""


def latest(connection: Connection, wanted: Wanted, *, limit: int) -> Found:
    """The newest of the jobs; where they are to be newer than one, those that come next after it.

    ``connection`` is of a :meth:`db.database.Database.snapshot`: a job that moves on between two of the searches
    would be found by neither.
    """
    if wanted.tenant is None or wanted.ids is not None or wanted.stuck:
        order = jobs.c.id.desc() if wanted.after is None else jobs.c.id
        every = select(jobs.c.id).where(*wanted.conditions()).order_by(order).limit(limit)
        return Found(ids=list(connection.execute(every).scalars()))
    search = _Search(connection=connection, tenant=wanted.tenant, onward=wanted.after is not None)
    narrowed = search.narrowed(wanted)
    return Found(ids=()) if narrowed is None else search.found(narrowed, limit)


@dataclass(frozen=True, kw_only=True)
class _Search:
    """Among one tenant's jobs; ``onward`` is from older to newer ones."""

    connection: Connection
    tenant: str
    onward: bool

    def found(self, wanted: Wanted, limit: int) -> Found:
        ids = self._look(wanted, limit)
        edge = self._edge(wanted) if len(ids) < limit else None
        if edge is None:
            return Found(ids=ids)
        beyond = self._beyond(wanted, edge)
        rest = self._by_indexes(beyond, limit - len(ids)) or self._step_by_step(beyond, limit - len(ids))
        return Found(ids=[*ids, *rest.ids], looked_to=rest.looked_to)

    def _beyond(self, wanted: Wanted, edge: int) -> Wanted:
        return replace(wanted, after=edge) if self.onward else replace(wanted, before=edge)

    def _step_by_step(self, wanted: Wanted, limit: int) -> Found:
        ids: list[int] = []
        for _ in range(0, FURTHEST, A_LOOK):
            ids += self._look(wanted, limit - len(ids))
            edge = self._edge(wanted) if len(ids) < limit else None
            if edge is None:
                return Found(ids=ids)
            wanted = self._beyond(wanted, edge)
        return Found(ids=ids, looked_to=edge)

    def _rows(self, wanted: Wanted) -> Select[Any]:
        """The tenant's jobs one after the other, by an index of just that."""
        # With `=`, for a tenant of whom Postgres has no idea how many it has, they come out of all tenants' jobs.
        rows = select(jobs).where(jobs.c.tenant.between(self.tenant, self.tenant), *_between(wanted))
        return rows.order_by(
            *((jobs.c.tenant.desc(), jobs.c.id) if self.onward else (jobs.c.tenant, jobs.c.id.desc()))
        )

    def _look(self, wanted: Wanted, limit: int) -> list[int]:
        """Those that fit of the next :data:`A_LOOK`."""
        near = self._rows(wanted).limit(A_LOOK).subquery("near")
        order = near.c.id if self.onward else near.c.id.desc()
        found = select(near.c.id).where(*wanted.conditions(near)).order_by(order).limit(limit)
        return list(self.connection.execute(found).scalars())

    def _edge(self, wanted: Wanted) -> int | None:
        """The last of the next :data:`A_LOOK`; None where there are not as many."""
        last = self._rows(wanted).with_only_columns(jobs.c.id).offset(A_LOOK - 1).limit(1)
        found: int | None = self.connection.execute(last).scalar()
        return found

    def _by_indexes(self, wanted: Wanted, limit: int) -> Found | None:
        """Those that fit; None where no index helps. What has ended is looked for no further than what has not."""
        if not _is_indexed(wanted):
            return None
        opened = list(self._open(wanted, limit))
        edge = self._common_edge(opened)
        ended = self._ended(wanted if edge is None else self._within(wanted, edge), limit)
        return None if ended is None else self._in_order([ended, *opened], limit)

    def _within(self, wanted: Wanted, edge: int) -> Wanted:
        if self.onward:
            return replace(wanted, before=min(edge + 1, wanted.before or edge + 1))
        return replace(wanted, after=max(edge - 1, wanted.after or 0))

    def _common_edge(self, parts: Sequence[Found]) -> int | None:
        """How far all of them have looked."""
        edges = [each.looked_to for each in parts if each.looked_to is not None]
        return None if not edges else (min(edges) if self.onward else max(edges))

    def _in_order(self, parts: Sequence[Found], limit: int) -> Found:
        """What several searches found, as far as each of them has looked."""
        edge = self._common_edge(parts)
        ids = sorted({each for part in parts for each in part.ids}, reverse=not self.onward)
        if edge is not None:
            ids = [each for each in ids if (each <= edge if self.onward else each >= edge)]
        return Found(ids=ids[:limit], looked_to=edge if len(ids) < limit else None)

    def _few(self, source: Select[Any], wanted: Wanted, limit: int) -> Found:
        """Those that fit of the next :data:`FEW` that an index names."""
        source = source.where(*_between(wanted)).order_by(self._order).limit(FEW + 1)
        few = source.subquery("few")
        fitting = func.array_agg(few.c.id).filter(*wanted.conditions(few))
        last = func.max(few.c.id) if self.onward else func.min(few.c.id)
        named, last_id, ids = self.connection.execute(select(func.count(), last, fitting).select_from(few)).one()
        found = sorted(ids or (), reverse=not self.onward)[:limit]
        return Found(ids=found, looked_to=last_id if named > FEW and len(found) < limit else None)

    @property
    def _order(self) -> Any:
        return jobs.c.id if self.onward else jobs.c.id.desc()

    def _ended(self, wanted: Wanted, limit: int) -> Found | None:
        """Jobs that have ended; None where no index helps."""
        if wanted.states and not set(ENDED).intersection(wanted.states):
            return Found(ids=())
        ended = select(jobs).where(jobs.c.state.in_([_written(each) for each in ENDED]))
        mine = ended.where(jobs.c.tenant == self.tenant)
        if wanted.document is not None:
            return self._few(ended.where(jobs.c.document_id == wanted.document), wanted, limit)
        if _has_keys(wanted):
            return self._by_keys(mine, wanted, limit)
        if wanted.finished_after is not None:
            return self._any(mine.where(jobs.c.finished_at >= wanted.finished_after), wanted, limit, few=FEW)
        return None

    def _any(self, source: Select[Any], wanted: Wanted, limit: int, *, few: int) -> Found | None:
        """Those that fit, of what an index names in no order; None where it names more than so ``few``."""
        named = source.limit(few + 1).subquery("few")
        fitting = func.array_agg(named.c.id).filter(*wanted.conditions(named))
        number, ids = self.connection.execute(select(func.count(), fitting).select_from(named)).one()
        return None if number > few else Found(ids=sorted(ids or (), reverse=not self.onward)[:limit])

    def _by_keys(self, mine: Select[Any], wanted: Wanted, limit: int) -> Found:
        """By what is said of them: all where they are few, else neighbourhood by neighbourhood."""
        if wanted.states:
            mine = mine.where(KEYS.overlap(_given(self._keys_of([f"state {each}" for each in wanted.states], ""))))
        said, name = _said(wanted), _name(wanted)
        known = [*self._keys_of(said, ""), *_spread(self._keys_of([], name))]
        first, last = self._neighbourhoods(wanted)
        if abs(last - first) > FEW_NEIGHBOURHOODS:
            found = self._any(mine.where(KEYS.contains(_given(known))), wanted, limit, few=FEW_ENDED)
            if found is not None:
                return found
        step = 1 if self.onward else -1
        end = min(last, first + MOST_NEIGHBOURHOODS) if self.onward else max(last, first - MOST_NEIGHBOURHOODS)
        steps = func.generate_series(first, end, step).table_valued("near").render_derived()
        keys = func.array_cat(_given(known), _keys(self.tenant, pg_array(["near " + cast(steps.c.near, Text)])))
        here = (
            mine.with_only_columns(jobs.c.id)
            .where(KEYS.contains(keys), *wanted.conditions())
            .order_by(self._order)
            .limit(limit)
            .lateral("here")
        )
        rows = select(here.c.id).select_from(steps).join(here, true()).limit(limit)
        ids = list(self.connection.execute(rows).scalars())
        edge = None
        if len(ids) < limit and end != last:
            edge = (end + 1 << NEIGHBOURS) - 1 if self.onward else end << NEIGHBOURS
        return Found(ids=ids, looked_to=edge)

    def _keys_of(self, said: Sequence[str], name: str) -> list[int]:
        """As the index has them."""
        asked = select(_keys(self.tenant, literal(list(said), ARRAY(Text)), name))
        found: list[int] = self.connection.execute(asked).scalar_one()
        return found

    def _neighbourhoods(self, wanted: Wanted) -> tuple[int, int]:
        """Where to look first and last."""
        newest = SQL["newest"].scalar(self.connection, {"tenant": self.tenant}) or 0
        low = (wanted.after or 0) >> NEIGHBOURS
        high = min(newest, wanted.before or newest) >> NEIGHBOURS
        return (low, high) if self.onward else (high, low)

    def _open(self, wanted: Wanted, limit: int) -> Iterator[Found]:
        """Jobs that have not ended, by the indexes that workers find them by."""
        ended = (wanted.cause, wanted.finished_after, wanted.finished_before)
        if any(each is not None for each in ended) or (wanted.states and set(ENDED).issuperset(wanted.states)):
            return
        mine = select(jobs).where(jobs.c.tenant == self.tenant)
        for turn, lane in product(TURNS, ("interactive", "bulk")):
            queued = mine.where(jobs.c.state == _written("queued"), jobs.c.turn == turn, jobs.c.lane == lane)
            yield self._few(queued, wanted, limit)
        yield self._few(mine.where(jobs.c.state == _written("running")), wanted, limit)
        if not wanted.states or "held" in wanted.states:
            held, holding = mine.where(jobs.c.state == _written("held")), replace(wanted, states=("held",))
            yield self._any(held, holding, limit, few=FEW) or self._step_by_step(holding, limit)

    def narrowed(self, wanted: Wanted) -> Wanted | None:
        """With ids between which all of them are; None where there are none."""
        before, after = [wanted.before], [wanted.after]
        if wanted.run is not None:
            run = SQL["of_run"].one(self.connection, {"run": wanted.run})
            if run.first is None:
                return None
            before, after = [*before, run.last + 1], [*after, run.first - 1]
        until = [each for each in (wanted.created_before, wanted.finished_before) if each is not None]
        if wanted.called is not None and wanted.called.until is not None:
            until.append(_moved(datetime.combine(wanted.called.until, time.min, UTC), timedelta(days=2)))
        if wanted.model is not None:
            last = SQL["end_of_model"].scalar(self.connection, {"tenant": self.tenant, "model": wanted.model})
            if last is None:
                return None
            until.append(last)
        if until:
            before.append(self._near(_moved(min(until), MARGIN))[1])
        if wanted.since is not None:
            after.append(self._near(_moved(wanted.since, -MARGIN))[0] - 1)
        return replace(
            wanted,
            before=min((each for each in before if each is not None), default=None),
            after=max((each for each in after if each is not None), default=None),
        )

    def _near(self, at: datetime) -> tuple[int, int]:
        """Two ids: what is below the first was submitted before, and what is not below the second was not."""
        low, high = 1, 1 + (SQL["newest"].scalar(self.connection, {"tenant": self.tenant}) or 0)
        while high - low > NEAR:
            middle = (low + high) // 2
            job = SQL["from_id"].first(self.connection, {"tenant": self.tenant, "id": middle})
            if job is None or job.created_at >= at:
                high = middle
            else:
                low = job.id + 1
        return low, high


def _moved(at: datetime, by: timedelta) -> datetime:
    """Another time, or the last one there is that way."""
    try:
        return at + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)


def _between(wanted: Wanted) -> list[ColumnElement[bool]]:
    """The ids among which they are."""
    after = [] if wanted.after is None else [jobs.c.id > wanted.after]
    return after if wanted.before is None else [*after, jobs.c.id < wanted.before]


def _said(wanted: Wanted) -> list[str]:
    """What is said of the jobs, as the index has it."""
    given = (
        ("prompt", wanted.prompt),
        ("version", wanted.version),
        ("feature", wanted.feature),
        ("user", wanted.user),
        ("run", wanted.run),
        ("cause", wanted.cause),
    )
    return [f"{name} {value}" for name, value in given if value is not None]


def _has_keys(wanted: Wanted) -> bool:
    """Whether the index of what is said of jobs knows any of it."""
    return bool(_said(wanted) or wanted.states) or len(_name(wanted).encode()) >= SHORTEST_NAME


def _is_indexed(wanted: Wanted) -> bool:
    """Whether any index helps to find those that have ended."""
    return _has_keys(wanted) or wanted.document is not None or wanted.finished_after is not None


def _name(wanted: Wanted) -> str:
    return (wanted.name or "").lower()


def _keys(tenant: str, said: ColumnElement[Any], name: str = "") -> ColumnElement[Any]:
    return func.docmill_search_keys(tenant, said, name, type_=ARRAY(Integer))


def _given(keys: Sequence[int]) -> ColumnElement[Any]:
    return literal(list(keys), ARRAY(Integer))


def _spread(keys: Sequence[int]) -> list[int]:
    """Some of a name's keys, from its first to its last, of bytes that are not each other's."""
    places = range(0, len(keys), max(SHORTEST_NAME, -(-len(keys) // (MOST_PLACES - 1))))
    return [*(keys[at] for at in places), *keys[-1:]]


def _written(word: str) -> ColumnElement[Any]:
    """A word as part of the statement: an index of some rows is used where it is known that these are meant."""
    return literal(word, literal_execute=True)
