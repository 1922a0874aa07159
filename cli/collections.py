"""``docmill index``, ``docmill search`` and ``docmill collections``: documents put in, passages found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table
from cli.sources import Source, batched, body_of, ready, sources_in
from cli.submitting import tell_refused, tell_submitted
from cli.waiting import print_end, print_reports, wait_for
from docmill.errors import DocmillError, Misconfigured

if TYPE_CHECKING:
    from db.database import Database
    from docmill.settings import Models, Settings

__all__ = ["collections", "index", "search"]

MODES = ("hybrid", "vector", "text")

collections = typer.Typer(help="Sets of documents that are searched together.", invoke_without_command=True)


def index(
    collection: Annotated[str, typer.Option(help="It is made where there is none of that name.")],
    paths: Annotated[list[str] | None, typer.Argument(help="Files, folders of files, or https addresses.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Its embedding model: wordllama, or a name of docmill.toml.")
    ] = None,
    meta: Annotated[list[str], typer.Option(help="NAME=VALUE, what searches can filter by.")] = [],
    language: Annotated[str | None, typer.Option(help="As english, or simple; found out unless given.")] = None,
    reindex: Annotated[
        bool, typer.Option("--reindex", help="Index all of its documents again, with another --model if given.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Until every job has ended.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Put documents into a collection; each becomes a job. Exit code 1 says that one was refused, or failed.

    With --reindex, searches use the old model's vectors until those of the new one are there for every document.
    """
    jobs: Mapping[int, Source]
    refused: Mapping[Source, DocmillError] = {}
    with open_stack(data) as (settings, database):
        if reindex:
            if paths or meta or language:
                raise Misconfigured(
                    "--reindex takes the documents that the collection has, as they were indexed: "
                    "give it no files, --meta or --language"
                )
            jobs = _again(database, settings, collection, model)
        else:
            if not paths:
                raise Misconfigured("nothing to index: give files, or folders of files, or --reindex")
            options = {"meta": dict(map(_pair, meta)), "language": _language(language)}
            _made(database, settings, collection, model)
            jobs, refused = _submitted(database, collection, list(sources_in(paths, settings)), options)
        tell_refused(refused, as_json=as_json)
        if not wait:
            tell_submitted(jobs, as_json=as_json)
            raise typer.Exit(1 if refused else 0)
        reports = wait_for(database, jobs, quiet=as_json, on_end=print_end if as_json else None)
    if not as_json:
        print_reports("Jobs", [(jobs[report.id], report) for report in reports])
    raise typer.Exit(1 if refused or any(report.state != "done" for report in reports) else 0)


def search(
    words: str,
    collection: str = typer.Option(help="`docmill collections` shows them."),
    limit: Annotated[int, typer.Option(min=1, max=200)] = 10,
    mode: Annotated[str, typer.Option(help="hybrid, vector (by meaning) or text (by words).")] = "hybrid",
    filters: Annotated[list[str], typer.Option("--filter", help="NAME=VALUE of --meta; all must fit.")] = [],
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Find the passages of a collection that say most about a question, by its words and by its meaning."""
    if not words.strip():
        raise Misconfigured("there is nothing to look for: give some words")
    if mode not in MODES:
        raise Misconfigured(f"--mode is one of {', '.join(MODES)}, and not {mode!r}")
    with open_stack(data) as (settings, database):
        from tasks.calls.embedding.call import Asker
        from tasks.question import passages_for
        from workers.services import asking_services

        with asking_services(settings, owner="search", database=database) as services:
            hits = passages_for(
                services,
                collection,
                words,
                asker=Asker(),
                limit=limit,
                mode=mode,  # type: ignore[arg-type] # checked above
                wanted=dict(map(_pair, filters)),
            )
    if as_json:
        for hit in hits:
            print_json(vars(hit))
        return
    rows = [(f"{hit.score:.3f}", hit.document or "", f"{hit.start}–{hit.end}", hit.text[:200]) for hit in hits]
    print_table(f"Found in {collection}", ("score", "document", "characters", "passage"), rows)


@collections.callback()
def list_collections(context: typer.Context, as_json: AsJson = False, data: Data = None) -> None:
    """Every collection, its embedding model, and the model that is about to take over."""
    if context.invoked_subcommand is not None:
        return
    with open_stack(data) as (_, database):
        from db.collections import listed

        with database.work() as connection:
            found = listed(connection, "default")
    if as_json:
        for row in found:
            print_json(row)
        return
    columns = ("name", "model", "next_model", "documents", "chunks", "languages")
    rows = [tuple(", ".join(row[each]) if each == "languages" else row[each] for each in columns) for row in found]
    print_table("Collections", columns, rows)


@collections.command()
def show(
    collection: str,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    after: Annotated[int, typer.Option(help="The id of the last one seen.")] = 0,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """The documents of a collection, with the ids by which they are removed."""
    with open_stack(data) as (_, database):
        from db.collections import documents_of, find

        with database.work() as connection:
            found = documents_of(connection, find(connection, "default", collection), limit=limit, after=after)
    if as_json:
        for row in found:
            print_json(row)
        return
    columns = ("id", "name", "language", "chunks", "meta", "indexed_at")
    print_table(f"Documents of {collection}", columns, [[row[each] for each in columns] for row in found])


@collections.command()
def remove(
    collection: str,
    document: Annotated[int, typer.Argument(help="Its id, as `docmill collections show` has it.")],
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="Delete it, with its text, from every collection.")
    ] = False,
    data: Data = None,
) -> None:
    """Take a document out of a collection, or delete it everywhere."""
    with open_stack(data) as (_, database):
        from db.collections import delete_document, find, leave_collection

        with database.work() as connection:
            found = find(connection, "default", collection)
            if not leave_collection(connection, found, document):
                raise Misconfigured(f"collection {collection} has no document {document}")
            if everywhere:
                delete_document(connection, "default", document)


def _made(database: Database, settings: Settings, collection: str, model: str | None) -> None:
    """The collection is there, with that model where one is named. Raises Misconfigured."""
    from db.collections import ensure

    wanted = _embedding(settings.models, model or settings.embedding)
    with database.work() as connection:
        found = ensure(connection, "default", collection, wanted)
    if model is not None and model not in (found.model, found.next_model):
        raise Misconfigured(
            f"collection {collection} has vectors of {found.model}: "
            f"`docmill index --collection {collection} --reindex --model {model}` changes that"
        )


def _again(database: Database, settings: Settings, collection: str, model: str | None) -> dict[int, Path]:
    """Jobs for the collection's documents. Raises CollectionUnknown, Misconfigured."""
    from db.collections import change_model, find, names_of
    from db.submit import index_again

    with database.work() as connection:
        found = find(connection, "default", collection)
        wanted = _embedding(settings.models, model or found.next_model or found.model)
        documents = change_model(connection, found, wanted)
        jobs = index_again(connection, "default", collection, documents)
        names = names_of(connection, documents)
    return {job: Path(names[document] or str(document)) for job, document in zip(jobs, documents, strict=True)}


def _submitted(
    database: Database, collection: str, sources: Sequence[Source], options: Mapping[str, Any]
) -> tuple[dict[int, Source], dict[Source, DocmillError]]:
    """The jobs by id, and the documents that were refused, each with its reason. What is returned is committed."""
    from db.submit import Indexing, submit_index

    jobs: dict[int, Source] = {}
    refused: dict[Source, DocmillError] = {}
    for batch in batched(sources):
        made: dict[int, Source] = {}
        documents = ready(batch, refused)
        with database.work() as connection:
            for document in documents:
                try:
                    body, name = body_of(document)
                except Misconfigured as error:
                    refused[document.source] = error
                else:
                    indexing = Indexing(collection=collection, body=body, name=name, **options)
                    made[submit_index(connection, indexing)] = document.source
        jobs |= made
    return jobs, refused


def _embedding(models: Models, name: str) -> str:
    """The name, of a model that can embed. Raises Misconfigured: no worker could do what is asked."""
    from docmill.llm.wire.embeddings import url
    from docmill.retrieval.offline import NAME

    if name != NAME:
        url(models.find(name).provider, "")
    return name


def _language(name: str | None) -> str | None:
    from docmill.retrieval.languages import LANGUAGES

    known = sorted({*LANGUAGES.values(), "simple"})
    if name is not None and name not in known:
        raise Misconfigured(f"--language is one of {', '.join(known)}, and not {name!r}")
    return name


def _pair(option: str) -> tuple[str, Any]:
    """A value that is JSON, as 7, true or ["a", "b"], is what it says; any other is a text."""
    name, equals, value = option.partition("=")
    if not equals or not name:
        raise Misconfigured(f"--meta and --filter are NAME=VALUE, and not {option!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
