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


def queue_of(role: RoleName, lane: str) -> str:
    """Chooses the queue: by who works it, and by whether somebody waits for the job."""
    queues = QUEUES[role]
    return queues[0] if lane == "interactive" else queues[-1]


def queues_of(drive: Drive, stages: tuple[Stage, ...]) -> list[str]:
    """A queue for each of the stages that a drive publishes. Only the first runs in quarantine, as what follows is
    another's fault; or at once where a short job is taken all the way.
    """
    apart: RoleName | None = "quarantine" if drive.quarantined else "io" if drive.short else None
    first, *rest = (STAGES[stage].role for stage in stages)
    return [queue_of(role, drive.lane) for role in (apart or first, *rest)]
