"""``docmill prompts gate``: whether a version breaks what another could, on answers that people stand for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from cli.cases import Case, cases_of, price_of
from cli.console import AsJson, Data, agree, print_json, print_table
from docmill.errors import Misconfigured
from docmill.visible import visible

if TYPE_CHECKING:
    from docmill.reading import Reader
    from prompts import PromptVersion
    from tasks.gating import Compared, FieldScore
    from tasks.services import Services
    from tasks.trial import Trial

__all__ = ["gate"]

SHOWN = 20
"""Values that broke, and answers that are missing, which are told one by one."""
NOT_COMPARED = 2
"""The exit code where a version was never answered about a case."""


def gate(
    name: str,
    version: Annotated[str, typer.Argument(help="The new one.")],
    against: Annotated[
        str | None, typer.Option(help="The old one: the version that submits take, unless named.")
    ] = None,
    tenant: Annotated[str, typer.Option(help="Whose cases, and whose calls.")] = "default",
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
            cases = cases_of(connection, name, limit, tenant=tenant)
            price = price_of(connection, name, len(cases), settings.timezone, tenant=tenant)
        agree(f"{len(cases)} cases, {old} and {new}: {price}", yes=yes)
        tried = [(case, [_asked(services, reader, each, case, tenant) for each in (old, new)]) for case in cases]
    raise typer.Exit(_told(name, old.version, new.version, tried, as_json=as_json))


def _told(name: str, old: str, new: str, tried: Sequence[tuple[Case, Sequence[Trial]]], *, as_json: bool) -> int:
    """The exit code, after all is printed: what was never answered counts for no version."""
    from tasks.gating import compare, scores, unanswered

    missing = [
        (case.job_id, trial.prompt, why)
        for case, both in tried
        for trial in both
        if (why := unanswered(trial)) is not None
    ]
    left_out = {job_id for job_id, _, _ in missing}
    compared = [
        (case, compare(case.right, before.value, after.value))
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


def _asked(services: Services, reader: Reader, prompt: PromptVersion, case: Case, tenant: str) -> Trial:
    from tasks.trial import try_on

    if services.caller is None:
        raise Misconfigured("no models can be asked from here")
    settings, caller = services.settings, services.caller
    return try_on(
        settings, caller, prompt, case.document, case.params, reader=reader, services=services, tenant=tenant
    )


def _tell(broken: Sequence[tuple[int, Compared]], version: str, *, as_json: bool) -> None:
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
