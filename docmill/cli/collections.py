"""``docmill index`` and ``docmill search``: documents into collections, and passages found in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from docmill.cli.console import AsJson, Data, open_stack, print_json, print_table
from docmill.cli.submit import batched_files, files_in
from docmill.errors import Misconfigured

__all__ = ["index", "search"]

Collection = Annotated[str, typer.Option(help="It is made where there is none of that name.")]


def index(paths: list[Path], collection: Collection, as_json: AsJson = False, data: Data = None) -> None:
    """Put files, or folders of files, into a collection. Each becomes a job; `docmill jobs` shows them."""
    with open_stack(data) as (settings, engine):
        from db import collections
        from db.submit import Indexing, submit_index

        with engine.begin() as connection:
            collections.made(connection, "default", collection, settings.embedding)
        for batch in batched_files(list(files_in(paths))):
            with engine.begin() as connection:
                jobs = {
                    path: submit_index(
                        connection, Indexing(collection=collection, body=path.read_bytes(), name=path.name)
                    )
                    for path in batch
                }
            for path, job in jobs.items():
                if as_json:
                    print_json({"id": job, "path": str(path), "state": "queued"})
                else:
                    typer.echo(f"{job}\t{path}")


def search(
    words: str, collection: Collection, limit: int = 10, as_json: AsJson = False, data: Data = None
) -> None:
    """Find the passages of a collection that say most about a question, by its words and by its meaning."""
    with open_stack(data) as (_, engine):
        from db import collections
        from db import search as searches
        from docmill.retrieval import offline
        from docmill.retrieval.languages import searchable

        with engine.connect() as connection:
            found = collections.find(connection, "default", collection)
            if limit < 1:
                raise Misconfigured(f"--limit is at least 1, not {limit}")
            vector = offline.embed_offline([words])[0] if found.model == offline.NAME else None
            question = searches.Question(words=searchable(words), vector=vector, limit=limit)
            hits = searches.search(connection, found, question)
    if as_json:
        for hit in hits:
            print_json(vars(hit))
        return
    rows = [(f"{hit.score:.3f}", hit.document or "", f"{hit.start}–{hit.end}", hit.text[:200]) for hit in hits]
    print_table(f"Found in {collection}", ("score", "document", "characters", "passage"), rows)
