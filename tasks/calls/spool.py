"""Replies that were paid for and could not be stored: files, until the database is back.

A file appears whole (temporary name, fsync, rename) and goes once its call is closed. Closing a call again
changes nothing, so a crash in between does no harm.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from db import ledger
from db.engine import is_away, is_passing
from db.jobs import Drive
from docmill.storable import dump_json, storable_count
from tasks.calls.closing import Closure, close, close_with_what_can_be_kept
from tasks.services import Services
from tasks.stages.step import Stop

__all__ = ["SET_ASIDE", "Drain", "set_aside", "settle_or_spool", "spool"]

log = structlog.get_logger()

HELD_S = 300.0
AGAIN_S = 1.0
LARGEST_FILE = 64_000_000
"""Bytes; a reply has a quarter at most."""
LARGEST_ID = 2**63 - 1
SET_ASIDE = "set-aside"
"""A folder in the spool's: files that nothing more can be done with, for a person."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""After a file could not be closed for now, until it is looked at again."""
Settled = TypeVar("Settled")


def spool(folder: Path, owner: str, closure: Closure) -> None:
    """Writes what closes a call under the call's id. Raises OSError where the disk does not take it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f".{owner}-{closure.settlement.id}"
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(dump_json(_plain(closure)))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / f"{closure.settlement.id}.json")
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def settle_or_spool(
    services: Services,
    settle: Callable[[], Settled],
    closure: Callable[[], Closure],
    *,
    held_s: float | None = None,
) -> Settled | Stop:
    """Settles a call; where the database is away, what was paid for goes to the spool.

    Where settling breaks over something else, which another try would meet again, the call is closed with what can
    be kept. Where the spool's disk is full too, it stays in memory, and both are tried again and again. Raises
    OSError after ``held_s`` of that, or five minutes: the call is in doubt by then, and its thread has other work.
    """
    give_up_at = time.monotonic() + (HELD_S if held_s is None else held_s)
    while True:
        try:
            return _settled(services, settle, closure)
        except SQLAlchemyError as error:
            log.warning("not_settled", error=type(error).__name__)
        kept = closure()
        try:
            spool(services.spool, services.owner, kept)
        except OSError as error:
            log.error("spool_refused", call=str(kept.settlement.id), error=error.strerror)
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(AGAIN_S)
        else:
            log.warning("spooled", call=str(kept.settlement.id))
            return Stop("spooled")


def _settled(services: Services, settle: Callable[[], Settled], closure: Callable[[], Closure]) -> Settled | Stop:
    """Raises SQLAlchemyError for what passes, and for nothing else."""
    try:
        return settle()
    except Exception as error:
        if is_passing(error):
            raise
        drive = close_with_what_can_be_kept(services.database, closure(), error, message_s=services.message_s)
        return Stop("not settled", () if drive is None else (drive,))


@dataclass(frozen=True)
class Later:
    """A file that is left alone for a while, by ``time.monotonic``."""

    pause_s: float
    until: float


@dataclass(kw_only=True)
class Drain:
    """Closes the calls of all spooled replies.

    Whoever spooled one may be gone, so each worker drains them all; two at once do the same thing.
    """

    services: Services
    _later: dict[Path, Later] = field(default_factory=dict, init=False)

    def drives(self) -> Iterator[Drive]:
        """What follows from each file is committed, and still to be published.

        Whatever is in a file keeps nothing else from its place. Raises where the database is away.
        """
        self._later = {file: later for file, later in self._later.items() if file.exists()}
        for file in sorted(self.services.spool.glob("*.json")):
            later = self._later.get(file)
            if later is not None and time.monotonic() < later.until:
                continue
            try:
                drive = self._close(file)
            except Exception as error:
                if is_away(error):
                    raise
                self._leave(file, error)
                continue
            if drive is not None:
                yield drive

    def _close(self, file: Path) -> Drive | None:
        try:
            closure = _read(file)
        except FileNotFoundError:
            return None  # another worker was faster
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            log.error("spool_unreadable", file=file.name, error=type(error).__name__)
            self._give_up(file)
            return None
        return self._settle(file, closure)

    def _settle(self, file: Path, closure: Closure) -> Drive | None:
        database, message_s = self.services.database, self.services.message_s
        try:
            drive = close(database, closure, message_s=message_s)
        except Exception as error:
            if is_passing(error):
                raise
            drive = close_with_what_can_be_kept(database, closure, error, message_s=message_s)
            away = _set_aside
        else:
            away = _remove
        try:
            away(file)
        except OSError as error:  # what is committed is published all the same; closing it again changes nothing
            self._leave(file, error)
        return drive

    def _give_up(self, file: Path) -> None:
        """Nothing is known of the call but its id, the file's name: it is in doubt, and its job goes on."""
        try:
            call_id = UUID(file.stem)
        except ValueError:
            pass  # no file of ours
        else:
            self.services.database.run(ledger.doubt, call_id)
        _set_aside(file)

    def _leave(self, file: Path, error: Exception) -> None:
        before = self._later.get(file)
        pause_s = min(2 * before.pause_s, LONGEST_PAUSE_S) if before else FIRST_PAUSE_S
        self._later[file] = Later(pause_s, time.monotonic() + pause_s)
        log.warning("spool_waits", file=file.name, error=type(error).__name__, pause_s=pause_s)


def set_aside(folder: Path) -> int:
    """Returns how many files wait for a person."""
    return sum(1 for _ in (folder / SET_ASIDE).glob("*"))


def _remove(file: Path) -> None:
    file.unlink(missing_ok=True)


def _set_aside(file: Path) -> None:
    """Two workers may do so at once. Raises OSError where the disk does not allow it."""
    folder = file.parent / SET_ASIDE
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        file.rename(folder / file.name)
    except FileNotFoundError:
        return
    log.error("spool_set_aside", file=file.name)


def _plain(closure: Closure) -> dict[str, Any]:
    settlement = dict(vars(closure.settlement))
    cost = settlement["cost_usd"]
    settlement |= {"id": str(settlement["id"]), "cost_usd": None if cost is None else str(cost)}
    return {**vars(closure), "vectors": dict(closure.vectors), "settlement": settlement}


def _read(file: Path) -> Closure:
    """What a file holds. Raises OSError, and ValueError, KeyError, TypeError or ArithmeticError for what none of
    ours holds.
    """
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError("too large for a reply")
    plain = json.loads(file.read_text(encoding="utf-8"))
    told = plain["settlement"]
    cost, reply = told["cost_usd"], told["reply"]
    told |= {"id": UUID(told["id"]), "cost_usd": None if cost is None else Decimal(cost)}
    if not isinstance(reply, Mapping | None) or (told["answered"] and not _has_words(reply)):
        raise TypeError("no reply")
    job_id = plain["job_id"]
    if storable_count(plain["epoch"]) is None or not (job_id is None or storable_count(job_id, LARGEST_ID)):
        raise TypeError("no job")
    return Closure(**{**plain, "settlement": ledger.Settlement(**told)})


def _has_words(reply: object) -> bool:
    """As every reply has them that is read again."""
    return isinstance(reply, Mapping) and all(
        isinstance(reply.get(name), str) for name in ("text", "finish_reason")
    )
