"""What keeps collections quick to search: words are counted, models take over, indexes are built, and vectors of
questions go after a while. And views of answers, which the owner of the tables makes too.

Beside upkeep, in a thread of its own: an index over a million vectors takes minutes, and jobs go on meanwhile.
Of the whole fleet one does it at a time, under a lock that goes with its transaction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from db import embeddings, statistics
from db.engine import without_lock_timeout
from tasks.services import Services
from tasks.upkeep.troubles import Troubles
from tasks.upkeep.views import AnswerViews

__all__ = ["Librarian"]

log = structlog.get_logger()

QUESTIONS_KEPT_DAYS = 7
NOT_OWNER = "this role owns no tables, and searches are slow: give io workers DOCMILL_DATABASE_OWNER_URL"


@dataclass(kw_only=True)
class Librarian:
    """One process's share."""

    services: Services
    troubles: Troubles = field(default_factory=Troubles)
    _thread: threading.Thread | None = field(default=None, init=False)
    _views: AnswerViews = field(init=False)

    def __post_init__(self) -> None:
        self._views = AnswerViews(services=self.services, troubles=self.troubles)

    def look_after_collections(self) -> None:
        """Begins to, unless this process does so already. Returns at once."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self._work, name="librarian", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self.work()
        except SQLAlchemyError as error:
            # The next tick begins anew; an index that is half built is built again.
            log.warning("collections_wait", error=type(error).__name__)

    def work(self) -> None:
        """Does what is due; nothing where another process is at it. One that breaks it stops no other."""
        with self.services.database.work() as guard:
            if statistics.try_lead(guard):
                self._look_after()

    def _look_after(self) -> None:
        with self._part("questions") as connection:
            embeddings.forget_questions(connection, after_days=QUESTIONS_KEPT_DAYS)
        with self._part("words") as connection:
            self._count(connection)
        with self._part("models") as connection:
            for name in statistics.take_over(connection):
                log.info("model_took_over", collection=name)
        with self.troubles.part("views"):
            self._views.look_after()
        with self._part("indexes") as connection:
            if statistics.unindexed(connection) or statistics.outdated(connection):
                self._renew_indexes()

    @contextmanager
    def _part(self, name: str) -> Iterator[Connection]:
        with self.services.database.work(atomic=False) as connection, self.troubles.part(name):
            yield connection

    def _renew_indexes(self) -> None:
        """Builds and drops them as the owner of the tables; where this process is not it, doctor tells."""
        owner = self.services.owner_database or self.services.database
        with owner.work(atomic=False) as connection:
            may = statistics.may_build(connection)
            self.troubles.remark("indexes", None if may else NOT_OWNER)
            if may:
                with without_lock_timeout(connection):
                    self._build_and_drop(connection)

    def _build_and_drop(self, connection: Connection) -> None:
        """Building and dropping beside writes waits for whoever writes, and for every dump that is being made."""
        for each in statistics.unindexed(connection):
            log.info("index_building", index=each.index)
            with self.troubles.part(f"index {each.index}"):
                statistics.build_index(connection, each)
        for name in statistics.outdated(connection):
            log.info("index_dropped", index=name)
            with self.troubles.part(f"index {name}"):
                statistics.drop_index(connection, name)

    def _count(self, connection: Connection) -> None:
        for collection_id in statistics.stale(connection):
            with self.troubles.part(f"words of {collection_id}"), self.services.database.work() as counting:
                statistics.count_words(counting, collection_id)
