"""How good prompts' answers are, version by version: what was accepted, what checks failed, what people corrected.

Each look reads the latest ends of a tenant alone, and says how many that were.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection

from db.statements import statements_of

__all__ = [
    "MOST",
    "Case",
    "DayOfPrompt",
    "VersionQuality",
    "cases_of",
    "quality_of",
    "versions",
]

SQL = statements_of("quality")

MOST = 2_000
"""Ends that are looked at, the latest ones."""


@dataclass(frozen=True, kw_only=True)
class VersionQuality:
    """What became of the jobs of a version."""

    prompt: str
    version: str
    """Empty for jobs that ended before theirs was chosen."""
    ended: int
    accepted: int
    first_try: int
    """Accepted as the first call answered, with nobody's help."""
    escalated: int
    to_person: int
    """Those that were decided since among them."""
    failed: int
    p50_s: float | None
    p95_s: float | None
    """Seconds from submit to end."""

    def share(self, part: str) -> float:
        """Percent of what ended."""
        return 100 * int(getattr(self, part)) / self.ended if self.ended else 0.0


@dataclass(frozen=True, kw_only=True)
class DayOfPrompt:
    """What became of the jobs that ended on a day."""

    day: date
    ended: int
    accepted: int
    to_person: int
    failed: int


@dataclass(frozen=True, kw_only=True)
class CheckFailing:
    """A check that answers did not pass."""

    version: str
    path: str
    """Of the field, with * for a place in a list."""
    sentence: str
    """With … for numbers and for what is quoted."""
    jobs: int
    latest: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class FieldCorrected:
    """A field that people corrected."""

    version: str
    path: str
    jobs: int
    latest: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer that a person accepted or corrected, and stands for."""

    job_id: int
    version: str
    decision: str
    author: str | None
    decided_at: datetime
    note: str
    document_id: int | None
    name: str | None
    params: Any
    """Of the job: variables of the prompt's templates."""


@dataclass(frozen=True, kw_only=True)
class OfPrompt:
    """How good the answers of one prompt are."""

    versions: Sequence[VersionQuality]
    days: Sequence[DayOfPrompt]
    failing: Sequence[CheckFailing]
    overruled: dict[tuple[str, str], int]
    """By version and path: of how many answers a person said that the check was wrong."""
    corrected: Sequence[FieldCorrected]
    cases: Sequence[Case]


def versions(
    connection: Connection, tenant: str, since: datetime, prompt: str | None = None
) -> list[VersionQuality]:
    """Each version of each prompt, or of one, that had jobs which ended; the newest version last."""
    values = {"tenant": tenant, "since": since, "prompt": prompt, "most": MOST}
    found = SQL["versions"].rows(connection, values, of=VersionQuality)
    return sorted(found, key=lambda each: (each.prompt, _number(each.version)))


def quality_of(connection: Connection, tenant: str, prompt: str, since: datetime, *, timezone: str) -> OfPrompt:
    """All that is known of a prompt's answers since then."""
    values = {"tenant": tenant, "since": since, "prompt": prompt, "most": MOST, "timezone": timezone}
    return OfPrompt(
        versions=versions(connection, tenant, since, prompt),
        days=SQL["days"].rows(connection, values, of=DayOfPrompt),
        failing=SQL["failing"].rows(connection, values, of=CheckFailing),
        overruled={(row.version, row.path): row.jobs for row in SQL["overruled"].rows(connection, values)},
        corrected=SQL["corrected"].rows(connection, values, of=FieldCorrected),
        cases=cases_of(connection, tenant, prompt, since),
    )


def cases_of(connection: Connection, tenant: str, prompt: str, since: datetime, *, limit: int = 100) -> list[Case]:
    """The latest answers of a prompt that a person stands for."""
    values = {"tenant": tenant, "since": since, "prompt": prompt, "most": MOST, "limit": limit}
    return SQL["cases"].rows(connection, values, of=Case)


def _number(version: str) -> tuple[int, str]:
    """So that v10 comes after v9."""
    digits = re.fullmatch(r"v(\d{1,9})", version)
    return (int(digits[1]) if digits else 0, version)
