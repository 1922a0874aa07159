"""What was paid for is settled, spooled, or kept in memory until one of the two succeeds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from db.database import Database
from db.ledger import Settlement
from docmill.settings import Settings
from prompts import Registry
from tasks.calls import spool
from tasks.calls.closing import Closure
from tasks.calls.spool import settle_or_spool
from tasks.services import Services
from tasks.stages.step import Onward, Stop


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "AGAIN_S", 0.0)


def services(folder: Path) -> Services:
    return Services(
        settings=Settings(spool=folder),
        database=Database(create_engine("sqlite://")),
        registry=Registry(),
        publish=lambda drives: None,
        owner="w",
    )


def spooled() -> Closure:
    settlement = Settlement(
        id=uuid4(), answered=True, reply={"text": "{}", "finish_reason": "stop"}, model_echoed="m", request_id=None,
        input_tokens=1, cached_tokens=0, output_tokens=1, reasoning_tokens=0, cost_usd=Decimal("0.1"),
        price_source="test", failure_kind=None, http_status=200, possibly_billed=False, latency_ms=1,
    )  # fmt: skip
    return Closure(job_id=1, epoch=1, settlement=settlement)


class Settling:
    """Away for so many times."""

    def __init__(self, away: int) -> None:
        self._away: Iterator[bool] = iter([True] * away)

    def settle(self) -> Onward:
        if next(self._away, False):
            raise OperationalError("update", {}, Exception("away"))
        return Onward()


def test_what_the_database_does_not_take_goes_to_the_spool(tmp_path: Path) -> None:
    found = settle_or_spool(services(tmp_path), Settling(away=1).settle, spooled)
    assert found == Stop("spooled")
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_a_full_disk_is_waited_out(tmp_path: Path) -> None:
    closed = tmp_path / "file"
    closed.write_text("no folder")
    found = settle_or_spool(services(closed), Settling(away=3).settle, spooled)
    assert found == Onward()


def test_a_reply_is_not_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD_S", 0.0)
    closed = tmp_path / "file"
    closed.write_text("no folder")
    with pytest.raises(OSError, match="exists"):
        settle_or_spool(services(closed), Settling(away=99).settle, spooled)


def test_a_draft_that_the_disk_did_not_take_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        spool.spool(tmp_path, "w", spooled())
    assert not list(tmp_path.iterdir())
