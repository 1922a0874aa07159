"""The stages of a job, each declared once: what says anything of a stage reads it here.

A new stage is its line here, its function in ``tasks``, and its line in ``tasks/chain.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["CHAINS", "STAGES", "Chain", "RoleName", "Stage", "stages_where"]

Stage: TypeAlias = Literal["validate", "ocr", "context", "complete", "parse", "store", "chunk", "embed"]
Chain: TypeAlias = Literal["document", "index"]
RoleName: TypeAlias = Literal["io", "cpu", "ocr", "quarantine"]
"""What a worker is for: stages that wait for others, stages that compute, scans, or stages that broke workers."""


@dataclass(frozen=True, kw_only=True)
class StageRules:
    """How a stage runs, and what ends it where it never succeeds."""

    role: Literal["io", "cpu", "ocr"] = "io"
    on_demand: bool = False
    """A chain has it only where a drive begins with it; the stage before says which job needs it."""
    claimed: bool = False
    """It runs on other people's files and code, so a worker claims it first. A claim that ran out is a crash, and
    crashes end it."""
    calls: bool = False
    """It calls models, and so never runs in quarantine, where nobody may."""
    redriven: bool = True
    """Drives that brought it no further end it, where it is not claimed; of a call, it is calls in doubt."""
    reads_file: bool = False
    reads_text: bool = True
    reads_layout: bool = False
    reads_answer: bool = False
    """What it is loaded with beside the job's row: the document as submitted, its text, where its words stand on
    its pages, the attempt's reply."""
    anywhere: bool = False
    """It takes milliseconds, and nothing but the database and the cache: who ended the stage before goes on with
    it, whatever his role."""
    soft_s: float | None = None
    hard_s: float | None = None
    """Time limits of its task; they bite in processes alone."""


# The reader has a limit of its own below validate's; a prompt's checks take milliseconds, or never end.
STAGES: Mapping[Stage, StageRules] = {
    "validate": StageRules(role="cpu", claimed=True, reads_file=True, soft_s=40, hard_s=45),
    # A slice of ten seconds, and the page that it is at then.
    "ocr": StageRules(
        role="ocr", on_demand=True, claimed=True, reads_file=True, reads_layout=True, soft_s=45, hard_s=50
    ),
    "context": StageRules(),
    "complete": StageRules(calls=True, redriven=False, reads_answer=True),
    "parse": StageRules(role="cpu", claimed=True, reads_layout=True, reads_answer=True, soft_s=60, hard_s=65),
    "chunk": StageRules(role="cpu", claimed=True, soft_s=60, hard_s=65),
    "embed": StageRules(calls=True),
    "store": StageRules(reads_text=False, anywhere=True),  # an index job's does read it
}
CHAINS: Mapping[Chain, tuple[Stage, ...]] = {
    "document": ("validate", "ocr", "context", "complete", "parse", "store"),
    "index": ("validate", "ocr", "chunk", "embed", "store"),
}


def stages_where(holds: Callable[[StageRules], bool]) -> list[Stage]:
    """The stages for whose rules it holds, as SQL takes them for an array."""
    return [name for name, rules in STAGES.items() if holds(rules)]
