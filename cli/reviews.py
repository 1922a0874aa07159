"""``docmill reviews``: answers that wait for a person, and what is decided about them."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table
from cli.nouns import Noun
from docmill.errors import Misconfigured
from docmill.visible import visible

if TYPE_CHECKING:
    from db.reviews import Clerk, Waiting
    from tasks.reviewing import Desk, Said

__all__ = ["reviews"]

reviews = typer.Typer(cls=Noun, help="Answers that wait for a person.", no_args_is_help=False)

JobId = Annotated[int, typer.Argument(metavar="ID")]
Tenant = Annotated[str, typer.Option(help="Whose answers.")]
Author = Annotated[str | None, typer.Option(help="Of the decision; else the user of this machine.")]
Note = Annotated[str, typer.Option(help="Kept with the decision.")]


@reviews.command("list")
def list_reviews(
    prompt: str | None = None,
    feature: str | None = None,
    limit: int = 50,
    tenant: Tenant = "default",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """What waits, the oldest first, and who looks at it."""
    from db.reviews import Narrowed, queue

    narrowed = Narrowed(prompt=prompt, feature=feature)
    with open_stack(data) as (_, database), database.work() as connection:
        found = queue(connection, tenant, narrowed, limit=limit)
    if as_json:
        for each in found:
            print_json(vars(each))
        return
    rows = [
        (each.id, each.name or "", each.prompt or "", _doubt(each), each.since, each.claimed_by or "nobody")
        for each in found
    ]
    print_table("In review", ("job", "document", "prompt", "doubt", "since", "with"), rows)


def _doubt(waiting: Waiting) -> str:
    told = waiting.failure.get("message") if isinstance(waiting.failure, dict) else None
    return told if isinstance(told, str) else ""


@reviews.command("next")
def show_next(
    prompt: str | None = None,
    feature: str | None = None,
    tenant: Tenant = "default",
    author: Author = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Claim the oldest that nobody looks at, for five minutes, and show its answer and its doubts."""
    from db.reports import job_report
    from db.reviews import Narrowed, claim_next

    narrowed = Narrowed(prompt=prompt, feature=feature)
    with open_stack(data) as (_, database), database.work() as connection:
        found = claim_next(connection, tenant, _clerk(author), narrowed)
        job = None if found is None else job_report(connection, found, tenant=tenant)
    if as_json:
        print_json({"id": None} if job is None else job.as_json())
    elif job is None:
        typer.echo("nothing waits that is free")
    else:
        doubt = job.failure.get("message", "") if isinstance(job.failure, dict) else ""
        typer.echo(f"job {job.id}  {visible(job.name or '')}  {job.prompt} {job.version or ''}")
        typer.echo(f"doubted: {visible(str(doubt))}")
        typer.echo(visible(json.dumps(job.value, ensure_ascii=False, indent=2)))


@reviews.command()
def accept(
    job_id: JobId, note: Note = "", author: Author = None, tenant: Tenant = "default", as_json: AsJson = False,
    data: Data = None,
) -> None:  # fmt: skip
    """The answer is right as it stands: each check that doubts it is noted as a false alarm."""
    from tasks.reviewing import Said

    _decide(job_id, Said(decision="accept", note=note), author, tenant, as_json, data)


@reviews.command()
def correct(
    job_id: JobId,
    values: Annotated[
        list[str],
        typer.Option("--set", metavar="PATH=VALUE", help="As in lines.0.name=Tea; several by giving it again."),
    ] = [],
    value: Annotated[str | None, typer.Option(help="The whole answer, as JSON, instead.")] = None,
    overrule: Annotated[
        list[str], typer.Option(help="A value whose check is wrong, by its path; several by giving it again.")
    ] = [],
    note: Note = "",
    author: Author = None,
    tenant: Tenant = "default",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The answer is another one. The prompt's own checks are held against it before it is kept."""
    from db.reports import job_report
    from tasks.reviewing import Said, with_values

    if (value is None) == (not values):
        raise Misconfigured("name the values that are other ones, by --set, or the whole answer, by --value")
    with open_stack(data) as (_, database), database.work() as connection:
        before = job_report(connection, job_id, tenant=tenant).value
    answer = _read(value) if value is not None else with_values(before, dict(map(_pair, values)))
    said = Said(decision="correct", value=answer, overruled=overrule, note=note)
    _decide(job_id, said, author, tenant, as_json, data)


@reviews.command()
def reject(
    job_id: JobId, note: Note = "", author: Author = None, tenant: Tenant = "default", as_json: AsJson = False,
    data: Data = None,
) -> None:  # fmt: skip
    """The answer is wrong, and nobody can mend it: the job has failed, and nothing of it is remembered."""
    from tasks.reviewing import Said

    _decide(job_id, Said(decision="reject", note=note), author, tenant, as_json, data)


def _decide(job_id: int, said: Said, author: str | None, tenant: str, as_json: bool, data: Path | None) -> None:
    with _desk(data) as desk:
        decided = desk.decide(tenant, job_id, _clerk(author), said)
    if as_json:
        print_json({"id": job_id, "state": decided.state, "revision": decided.revision})
    else:
        kept = f", with revision {decided.revision}" if decided.revision is not None else ""
        typer.echo(f"job {job_id} is {decided.state}{kept}")


@contextmanager
def _desk(data: Path | None) -> Iterator[Desk]:
    from tasks.reviewing import Desk
    from workers.clients import open_cache
    from workers.registry import registry_of

    with open_stack(data) as (settings, database), open_cache(settings) as cache:
        yield Desk(database=database, registry=registry_of(settings), cache=cache)


def _clerk(author: str | None) -> Clerk:
    from db.reviews import Clerk

    name = author or _user()
    return Clerk(name=name, desk=f"command:{name}")


def _user() -> str:
    """The user's name, where the machine knows one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "the command"


def _pair(written: str) -> tuple[str, str]:
    path, parted, value = written.partition("=")
    if not parted or not path:
        raise Misconfigured(f"--set is PATH=VALUE, as total=4.10, and not {written!r}")
    return path, value


def _read(written: str) -> Any:
    try:
        return json.loads(written)
    except (ValueError, RecursionError) as error:
        raise Misconfigured("--value is the whole answer as JSON") from error
