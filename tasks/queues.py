"""The broker's queues, each declared once, and which of them a stage's task goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from db.jobs import Drive
from db.stages import STAGES, RoleName, Stage

__all__ = ["QUEUES", "QUEUE_NAMES", "queues_of"]

BY_LANE: Mapping[RoleName | Literal["short"], tuple[str, ...]] = {
    "io": ("interactive", "bulk"),
    # Of their own: an io worker of the version before, which takes none of them all the way, does not serve them.
    "short": ("short.interactive", "short.bulk"),
    "cpu": ("cpu.interactive", "cpu.bulk"),
    "ocr": ("ocr",),
    "quarantine": ("quarantine",),
}
"""By what a stage works with; the first is for who waits."""
QUEUES: Mapping[RoleName, tuple[str, ...]] = {
    "io": ("interactive", "short.interactive", "bulk", "short.bulk"),
    "cpu": BY_LANE["cpu"],
    "ocr": BY_LANE["ocr"],
    "quarantine": BY_LANE["quarantine"],
}
"""By the role of the workers that serve them; the first goes first: what was begun before what is new."""
QUEUE_NAMES = tuple(name for names in QUEUES.values() for name in names)


def queue_of(what: RoleName | Literal["short"], lane: str) -> str:
    """Chooses the queue: by what is worked with, and by whether somebody waits for the job."""
    queues = BY_LANE[what]
    return queues[0] if lane == "interactive" else queues[-1]


def queues_of(drive: Drive, stages: tuple[Stage, ...]) -> list[str]:
    """A queue for each of the stages that a drive publishes. Only the first runs in quarantine, as what follows is
    another's fault; or at once where a short job is taken all the way.
    """
    first: RoleName | Literal["short"]
    first, *rest = (STAGES[stage].role for stage in stages)
    first = "quarantine" if drive.quarantined else "short" if drive.short else first
    return [queue_of(what, drive.lane) for what in (first, *rest)]
