"""``docmill ask``: a question to a collection, answered out of its passages with citations, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, Data, deadline_of, open_stack, print_json, usd
from cli.waiting import wait_for
from docmill.visible import visible, visible_lines

if TYPE_CHECKING:
    from db.database import Database
    from db.reports import JobReport

__all__ = ["ask"]

NOT_ANSWERED = "The passages of this collection do not hold the answer."


def ask(
    question: str,
    collection: Annotated[str, typer.Option(help="`docmill collections` shows them.")],
    prompt: Annotated[str, typer.Option(help="One that looks into a collection.")] = "answer",
    version: str | None = None,
    feature: Annotated[str, typer.Option(help="For cost reports.")] = "default",
    user: Annotated[str, typer.Option(help="For cost reports.")] = "",
    deadline: Annotated[str | None, typer.Option(help="As in 90s, 15m, 2h, or a time of ISO 8601.")] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Ask a collection. The answer cites the passages it rests on; what they do not hold is not answered."""
    with open_stack(data) as (settings, database):
        from db.submit import submit
        from tasks.question import submission_of
        from workers.registry import registry_of

        wanted = registry_of(settings).get(prompt, version)
        with database.work() as connection:
            submission = submission_of(
                connection,
                wanted,
                collection,
                question,
                feature=feature,
                usr=user,
                deadline_at=deadline_of(deadline),
            )
            job = submit(connection, submission)
        (report,) = wait_for(database, {job: Path("question")}, quiet=as_json)
        places = _places(database, report)
    if as_json:
        told = report.as_json()
        named = ("id", "state", "value", "failure", "cost_usd", "model", "seconds")
        print_json({name: told[name] for name in named} | {"citations": places})
    else:
        _print(report, places)
    raise typer.Exit(0 if report.state in ("done", "needs_review") else 1)


def _places(database: Database, report: JobReport) -> list[dict[str, Any]]:
    """Where each quote stands: its document by id and name, and characters of that one's text."""
    from db.collections import names_of

    cited = {place: span for place, span in (report.evidence or {}).items() if "document_id" in span}
    with database.work() as connection:
        names = names_of(connection, [span["document_id"] for span in cited.values()])
    return [
        {"place": place, "document": names.get(span["document_id"]), **span, **_citation(report.value, place)}
        for place, span in cited.items()
    ]


def _citation(value: Any, place: str) -> Mapping[str, Any]:
    """The citation itself, whose quote stands at that place of the answer."""
    for step in place.split(".")[:-1]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return {"passage": value["passage"], "quote": value["quote"]}


def _print(report: JobReport, places: Sequence[Mapping[str, Any]]) -> None:
    if report.failure:
        typer.echo(visible(f"{report.state}: {report.failure['kind']}: {report.failure['message']}"), err=True)
    if isinstance(report.value, dict):
        typer.echo(visible_lines(str(report.value.get("answer") or NOT_ANSWERED)))
    for place in places:
        name = place["document"] or f"document {place['document_id']}"
        quote = " ".join(str(place["quote"]).split())
        where = f"{name}, characters {place['start']}–{place['end']}"
        typer.echo(visible(f"  [{place['passage']}] {where}: “{quote}”"))
    typer.echo(f"job {report.id}, {report.model or 'no model'}, {usd(report.cost_usd)} USD", err=True)
