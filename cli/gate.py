"""``docmill prompts gate``: whether a version breaks what another could, on answers that people stand for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, Data, agree, print_json, print_table, usd
from docmill.errors import Misconfigured, Unreadable
from docmill.visible import visible

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from db.jobs import Document
    from docmill.reading import Reader
    from prompts import PromptVersion
    from tasks.gating import FieldScore, Held
    from tasks.services import Services
    from tasks.trial import Trial

__all__ = ["gate"]

FAR_BACK = timedelta(days=3650)
SHOWN = 20
"""Values that broke, and answers that are missing, which are told one by one."""
NOT_COMPARED = 2
"""The exit code where a version was never answered about a case."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A document with the answer that a person stands for."""

    job_id: int
    document: Document
    params: dict[str, Any]
    right: Any


def gate(
    name: str,
    version: Annotated[str, typer.Argument(help="The new one.")],
    against: Annotated[
        str | None, typer.Option(help="The old one: the version that submits take, unless named.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Cases, the latest ones.")] = 50,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Ask two versions about the documents whose answers people accepted or corrected; compare field by field.

    Says the price first. The calls stand in the ledger, as feature `try`. Exits with 1 where the new version
    breaks a value that the old one had right; with 2 where a case was not compared, because a version was
    never answered about it (budget, outage, unreadable document).
    """
    from docmill.reading import Reader
    from workers.registry import registry_of
    from workers.services import asking_services
    from workers.stack.addresses import settings_of

    with ExitStack() as stack:
        settings = settings_of(data)
        services = stack.enter_context(asking_services(settings, owner="try"))
        reader = stack.enter_context(Reader(settings.reading_limits))
        registry = registry_of(settings)
        new, old = registry.get(name, version), registry.get(name, against)
        with services.database.work() as connection:
            cases = _cases(connection, name, limit)
            price = _price(connection, name, len(cases), settings.timezone)
        agree(f"{len(cases)} cases, {old} and {new}: {price}", yes=yes)
        tried = [(case, [_asked(services, reader, each, case) for each in (old, new)]) for case in cases]
    raise typer.Exit(_told(name, old.version, new.version, tried, as_json=as_json))


def _told(name: str, old: str, new: str, tried: Sequence[tuple[Case, Sequence[Trial]]], *, as_json: bool) -> int:
    """The exit code, after all is printed: what was never answered counts for no version."""
    from tasks.gating import held, scores, unanswered

    missing = [
        (case.job_id, trial.prompt, why)
        for case, both in tried
        for trial in both
        if (why := unanswered(trial)) is not None
    ]
    left_out = {job_id for job_id, _, _ in missing}
    compared = [
        (case, held(case.right, before.value, after.value))
        for case, (before, after) in tried
        if case.job_id not in left_out
    ]
    _print_scores(name, old, new, scores(found for _, found in compared), as_json=as_json)
    broken = [(case.job_id, each) for case, found in compared for each in found if each.broken]
    if compared:
        _tell(broken, new, as_json=as_json)
    _tell_missing(missing, len(left_out), len(tried), as_json=as_json)
    return NOT_COMPARED if missing else 1 if broken else 0


def _print_scores(name: str, old: str, new: str, told: Sequence[FieldScore], *, as_json: bool) -> None:
    if as_json:
        for score in told:
            print_json(vars(score))
    else:
        rows = [(visible(s.field), s.values, s.old, s.new, s.broken, s.mended) for s in told]
        columns = ("field", "values", f"right by {old}", f"by {new}", "broken", "mended")
        print_table(f"{name}: {new} against {old}", columns, rows)


def _cases(connection: Connection, name: str, limit: int) -> list[Case]:
    """The latest ones whose document is still there. Raises Misconfigured for none."""
    from db import reports
    from db.quality import cases_of

    found = []
    for each in cases_of(connection, "default", name, datetime.now(UTC) - FAR_BACK, limit=limit):
        document = None if each.document_id is None else _document(connection, each.document_id)
        if document is not None:
            right = reports.job_report(connection, each.job_id).value
            found.append(Case(job_id=each.job_id, document=document, params=dict(each.params or {}), right=right))
    if not found:
        raise Misconfigured(
            f"nobody has accepted or corrected an answer of {name} yet: the review desk makes cases"
        )
    return found


def _document(connection: Connection, document_id: int) -> Document | None:
    """As it was read; None where its text is gone. Where its file is gone, its pages cannot be drawn."""
    from db import documents
    from db.jobs import Document

    text = documents.text_of(connection, document_id, "default")
    known = documents.shown(connection, document_id, "default")
    file = documents.original(connection, document_id, "default")
    if text is None or known is None or file is None:
        return None
    return Document(
        id=0,
        name=known.name,
        media_type=known.media_type if file.body is not None else "text/plain",
        body=file.body,
        text=text,
        pages=known.pages,
        layout=known.layout,
    )


def _price(connection: Connection, name: str, cases: int, timezone: str) -> str:
    """About what both versions will cost, by what a document of the prompt has cost so far."""
    from db.costs import costs

    rows = costs(connection, ("prompt",), timezone=timezone, tenant="default", only={"prompt": name})
    each = rows[0].usd_per_accepted if rows else None
    return (
        "nobody knows what it costs"
        if each is None
        else f"about {usd((each * cases * 2).quantize(Decimal('1e-6')))} USD"
    )


def _asked(services: Services, reader: Reader, prompt: PromptVersion, case: Case) -> Trial:
    from docmill.reading.drawn import DrawnPages
    from tasks.trial import try_on, unread

    if services.caller is None:
        raise Misconfigured("no models can be asked from here")
    drawn, params = DrawnPages(reader), case.params
    try:
        return try_on(
            services.settings, services.caller, prompt, case.document, params, drawn=drawn, services=services
        )
    except Unreadable as error:
        return unread(prompt, error)


def _tell(broken: Sequence[tuple[int, Held]], version: str, *, as_json: bool) -> None:
    for job_id, each in broken if as_json else broken[:SHOWN]:
        if as_json:
            print_json({"job": job_id, "path": each.path, "right": each.right, "old": each.old, "new": each.new})
        else:
            typer.echo(visible(f"job {job_id}: {each.path} is {each.right!r}; {version} says {each.new!r}"))
    if not as_json:
        more = f", {len(broken) - SHOWN} more of them not shown" if len(broken) > SHOWN else ""
        typer.echo(f"{len(broken)} values that were right are broken{more}" if broken else "nothing is broken")


def _tell_missing(missing: Sequence[tuple[int, str, str]], left_out: int, cases: int, *, as_json: bool) -> None:
    for job_id, prompt, why in missing if as_json else missing[:SHOWN]:
        if as_json:
            print_json({"job": job_id, "prompt": prompt, "not_compared": why})
        else:
            typer.echo(visible(f"job {job_id} is not compared: {prompt} gave no answer: {why}"))
    if missing and not as_json:
        typer.echo(f"{left_out} of {cases} cases are not compared: try again once their failures are mended")
