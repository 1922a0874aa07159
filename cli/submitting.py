"""Submitting documents as a run: each of them once, however often it is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import typer

from cli.console import print_json
from cli.sources import Address, Ready, Source, batched, body_of, ready
from docmill.errors import DocmillError, Misconfigured, NotFetched
from docmill.visible import visible

if TYPE_CHECKING:
    from db.database import Database
    from db.submit import Accepted, Submission

__all__ = ["Submitted", "Wanted", "submit_files", "tell_refused", "tell_submitted"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is wanted of each file."""

    prompt: str
    version: str
    content_hash: bytes | None = None
    """Of the prompt's files as they are now: after an edit the same documents are other work."""
    feature: str = "default"
    user: str = ""
    lane: str = "bulk"
    deadline_at: datetime | None = None
    params: Mapping[str, str]

    @property
    def said(self) -> dict[str, Any]:
        """What the run's row tells of it."""
        told = ("prompt", "version", "feature", "user", "lane")
        return {**{name: getattr(self, name) for name in told}, "params": dict(self.params)}

    def key(self, *more: str) -> str:
        """Stands for this work on what ``more`` names."""
        content = (self.content_hash or b"").hex()
        same = [self.prompt, self.version, content, self.feature, self.user, dict(self.params)]
        written = json.dumps([*same, *more], sort_keys=True)
        return hashlib.sha256(written.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(kw_only=True)
class Submitted:
    """What became of the documents so far. What is in it is committed."""

    run_id: int | None = None
    """None for a document by itself."""
    jobs: dict[int, Source] = field(default_factory=dict)
    refused: dict[Source, DocmillError] = field(default_factory=dict)
    before: int = 0
    """How many were submitted before, and are no second jobs."""


def submit_files(
    database: Database,
    sources: Sequence[Source],
    wanted: Wanted,
    *,
    submitted: Submitted,
    name: str | None = None,
    again: bool = False,
    tell: Callable[[Submitted], None] = lambda _: None,
) -> None:
    """Submits what was not submitted before, a batch a transaction; ``submitted`` has what is committed.

    Several documents are a run; the same ones once more, after a submit that came to no end, are the rest of it.
    """
    from db import runs
    from db.submit import submit_to_run

    run = None
    if len(sources) > 1:
        key = str(uuid4()) if again else wanted.key("run", *map(str, sources))
        with database.work() as connection:
            run = runs.begin(
                connection,
                tenant="default",
                name=name or _name(sources),
                cause="submit",
                submit=wanted.said,
                expected=len(sources),
                key=key,
            ).id
        submitted.run_id = run
    found: list[Accepted] = []
    for batch in batched(sources):
        taken: list[Source] = []
        documents = ready(batch, submitted.refused)
        with database.work() as connection:
            made = submit_to_run(
                connection, run, _submissions(documents, wanted, taken, submitted.refused, again=again)
            )
        found += made
        submitted.jobs.update(zip((each.id for each in made), taken, strict=True))
        submitted.before += sum(not each.is_new for each in made)
        tell(submitted)
    if run is not None:
        submitted.run_id = database.run(_close, run, found)


def _close(connection: Any, run: int, found: Sequence[Accepted]) -> int | None:
    """The run that was made; or the one that has had all of it already."""
    from db import runs

    if any(each.run_id == run for each in found):
        runs.close(connection, run)
        return run
    runs.drop_empty(connection, run)
    others = {each.run_id for each in found}
    return others.pop() if len(others) == 1 else None


def _name(sources: Sequence[Source]) -> str:
    """Of the run: the folder that all its files lie in, or the first of them."""
    import os.path

    from docmill.bounds import LONGEST_TEXT, file_path

    paths = [str(each) for each in sources]
    try:
        shared = os.path.commonpath(paths)
    except ValueError:  # relative ones beside others
        shared = ""
    if any(isinstance(each, Address) for each in sources):
        shared = ""
    return (file_path(shared) or f"{file_path(paths[0])} and {len(paths) - 1} more")[-LONGEST_TEXT:]


def _submissions(
    documents: Sequence[Ready],
    wanted: Wanted,
    taken: list[Source],
    refused: dict[Source, DocmillError],
    *,
    again: bool,
) -> Iterator[Submission]:
    """One file in memory at a time; which were taken and which not is told on the way."""
    for document in documents:
        try:
            submission = _submission(document, wanted, again=again)
        except Misconfigured as error:
            refused[document.source] = error
            continue
        taken.append(document.source)
        yield submission


def _submission(document: Ready, wanted: Wanted, *, again: bool) -> Submission:
    from db.submit import Submission

    body, name = body_of(document)
    digest = hashlib.sha256(body).hexdigest()
    return Submission(
        prompt=wanted.prompt,
        version=wanted.version,
        content_hash=wanted.content_hash,
        body=body,
        name=name,
        feature=wanted.feature,
        usr=wanted.user,
        lane=wanted.lane,  # type: ignore[arg-type] # checked by the command
        deadline_at=wanted.deadline_at,
        idem_key=f"again:{uuid4()}" if again else f"file:{wanted.key(name, digest)}",
        params=wanted.params,
    )


def tell_refused(refused: Mapping[Source, DocmillError], *, as_json: bool) -> None:
    """Prints each document that is no job, and why."""
    for path, error in refused.items():
        kind = "not_found" if isinstance(error, NotFetched) else "too_large"
        failure = {"kind": kind, "message": str(error)}
        if as_json:
            print_json({"id": None, "path": str(path), "state": "refused", "failure": failure, "cost_usd": "0"})
        else:
            typer.echo(f"refused: {visible(str(error))}", err=True)


def tell_submitted(jobs: Mapping[int, Source], *, as_json: bool) -> None:
    """Prints a line a job."""
    for job_id, path in jobs.items():
        if as_json:
            print_json({"id": job_id, "path": str(path), "state": "queued"})
        else:
            typer.echo(f"{job_id}\t{visible(str(path))}")
