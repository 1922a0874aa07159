"""The broker's queues, each declared once, and which of them a stage's task goes to."""

from __future__ import annotations

from collections.abc import Mapping

from db.jobs import Drive
from db.stages import STAGES, RoleName, Stage

__all__ = ["QUEUES", "QUEUE_NAMES", "queues_of"]

QUEUES: Mapping[RoleName, tuple[str, ...]] = {
    "io": ("interactive", "bulk"),
    "cpu": ("cpu.interactive", "cpu.bulk"),
    "ocr": ("ocr",),
    "quarantine": ("quarantine",),
}
"""By the role of the workers that serve them; the first goes first."""
QUEUE_NAMES = tuple(name for names in QUEUES.values() for name in names)


def queue_of(stage: Stage, lane: str, *, quarantined: bool = False) -> str:
    """Chooses the queue: by what the stage works with, and by whether somebody waits for the job."""
    if quarantined:
        return QUEUES["quarantine"][0]
    queues = QUEUES[STAGES[stage].role]
    return queues[0] if lane == "interactive" else queues[-1]


def queues_of(drive: Drive, stages: tuple[Stage, ...]) -> list[str]:
    """A queue for each of the stages that a drive publishes. Only the first runs in quarantine: what follows is
    another's fault.
    """
    return [
        queue_of(stage, drive.lane, quarantined=drive.quarantined and at == 0) for at, stage in enumerate(stages)
    ]
