"""The content of a prompt that a job is pinned to: every stage works with the same one, wherever it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from db import transitions
from db.jobs import Job
from docmill.errors import ContentMissing, Failure
from prompts import PromptVersion
from tasks.services import Services
from tasks.stages.step import Step, Stop, fail

__all__ = ["leave", "prompt_of"]

MISSING_S = 600.0
"""So long a job is left to others, before it has failed."""
LONGEST_S = 30.0
"""Between two tries."""
MOST_PLACES = 20


def prompt_of(services: Services, job: Job) -> PromptVersion:
    """Loads the content that the job is pinned to; a job that is not yet is pinned to what the files hold now.

    Raises ContentMissing, PromptUnknown, PromptBroken.
    """
    if job.content_hash is not None:
        return services.registry.pinned(job.prompt, job.version or "", bytes(job.content_hash))
    prompt = services.registry.get(job.prompt, job.version)
    pinned = services.database.run(transitions.pin, job, services.registry.pin(prompt))
    if pinned is None or pinned == prompt.content_hash:
        return prompt
    return services.registry.pinned(job.prompt, prompt.version, pinned)  # another was faster


def leave(connection: Connection, job: Job, error: ContentMissing, *, owner: str) -> Step:
    """Leaves the job to a process that has the content; one that nobody has is what it fails for in the end.

    It waits longer each time, so that nobody spins, and counts as no crash: nothing is wrong with its document.
    """
    known = job.missing or {"since": datetime.now(UTC).isoformat(), "times": 0, "at": []}
    at = [*known["at"], *([owner] if owner not in known["at"] else [])][-MOST_PLACES:]
    missing: dict[str, Any] = {**known, "times": known["times"] + 1, "at": at}
    failure = Failure(kind="internal", message=_told(error, at))
    waited_s = (datetime.now(UTC) - datetime.fromisoformat(known["since"])).total_seconds()
    if waited_s >= MISSING_S:
        return fail(connection, job, failure)
    for_s = min(LONGEST_S, 2.0 ** min(missing["times"], 10))
    transitions.leave(connection, job, missing=missing, for_s=for_s, failure=failure)
    return Stop("left: content missing")


def _told(error: ContentMissing, at: list[str]) -> str:
    return (
        f"{error}, as {', '.join(at)} found: put those files back, or give all workers one DOCMILL_SPOOL, "
        f"where contents are kept; `docmill retry` takes the files as they are now"
    )
