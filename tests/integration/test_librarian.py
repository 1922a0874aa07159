"""One process at a time looks after collections, and its lock is no session's: behind a pooler there are none."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, text

from db import statistics
from db.database import Database
from db.search import SLICES
from db.statistics import LOCK
from docmill.settings import Settings
from prompts import Registry
from tasks.services import Services
from tasks.upkeep.collections import Librarian


def test_one_process_looks_after_collections(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    here = threading.get_ident()
    held = (
        "select count(*) from pg_locks where locktype = 'advisory' and objid = :key and granted"
        " and database = (select oid from pg_database where datname = current_database())"
    )

    def take_over(_: object) -> list[str]:
        if threading.get_ident() == here:  # and not in the upkeep of another database
            with engine.connect() as other:
                seen.append(other.execute(text(held), {"key": LOCK}).scalar_one())
        return []

    monkeypatch.setattr(statistics, "take_over", take_over)
    librarian = Librarian(
        services=Services(
            settings=Settings(),
            database=Database(engine),
            registry=Registry(),
            publish=lambda drives: None,
            owner="w",
        )
    )
    with engine.begin() as other:
        other.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        librarian.work()
    assert seen == []
    librarian.work()
    assert seen == [1]
    with engine.connect() as connection:
        left = connection.execute(text(held), {"key": LOCK}).scalar_one()
    assert left == 0


def test_indexes_of_another_parting_go_when_all_of_the_new_one_are_there(owner: Engine) -> None:
    def made(name: str) -> None:
        connection.execute(text(f"create index {name} on vectors (chunk_id) where model_id = 77"))

    former = f"vectors_hnsw_77_3_of_{2 * SLICES}"
    with owner.connect() as connection:
        made("vectors_hnsw_77_0")
        made(former)
        for number in range(SLICES):
            assert statistics.outdated(connection) == []
            made(f"vectors_hnsw_77_{number}_of_{SLICES}")
        assert statistics.outdated(connection) == ["vectors_hnsw_77_0", former]
        connection.rollback()
