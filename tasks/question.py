"""A question to a collection: the passages that say most about it, or a job that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from db import collections
from db.search import Hit, Mode, Question, search
from db.submit import Submission, check_answerable
from docmill.errors import Misconfigured
from docmill.retrieval import offline
from docmill.retrieval.languages import searchable
from prompts import PromptVersion
from tasks.calls.embedding.call import Asker
from tasks.calls.embedding.question import vector_for
from tasks.services import Services

__all__ = ["passages_for", "submission_of"]


def passages_for(
    services: Services,
    collection: str,
    words: str,
    *,
    asker: Asker,
    limit: int = 10,
    mode: Mode = "hybrid",
    wanted: Mapping[str, Any] | None = None,
    each_document: int | None = None,
) -> list[Hit]:
    """The passages of the tenant's collection that say most about the words; ``wanted`` filters by meta.

    Raises CollectionUnknown, and what :func:`vector_for` raises.
    """
    while True:
        found = services.database.run(collections.find, asker.tenant, collection)
        # In quarantine nobody calls models: there the words alone find what they can.
        wordy = mode == "text" or (found.model != offline.NAME and services.caller is None)
        vector = None if wordy else vector_for(services, found.model, words, asker=asker)
        question = Question(
            words=searchable(words),
            vector=vector,
            limit=limit,
            mode=mode,
            filter=wanted or {},
            each_document=each_document,
        )
        with services.database.work() as connection:
            now = collections.find(connection, asker.tenant, collection)
            if now.model == found.model:
                return search(connection, now, question)


def submission_of(
    connection: Connection,
    prompt: PromptVersion,
    collection: str,
    words: str,
    *,
    tenant: str = "default",
    **options: Any,
) -> Submission:
    """A question as a job: the document is the question, and a parameter names the collection.

    ``options`` are fields of a Submission. Raises CollectionUnknown; Misconfigured for a prompt that looks into no
    collection, and where nothing is asked; SubmitRefused where no worker could answer.
    """
    parameter = prompt.config.retrieval.collection
    if parameter is None:
        raise Misconfigured(
            f"prompt {prompt} looks into no collection: take `answer`, or name a parameter as `collection` "
            f"under [retrieval] in its prompt.toml"
        )
    if not words.strip():
        raise Misconfigured("there is nothing to answer: ask something")
    collections.find(connection, tenant, collection)
    check_answerable(connection, prompt.name, prompt.version)
    asked: dict[str, Any] = {"lane": "interactive", "params": {}, **options}
    asked["params"] = {**asked["params"], parameter: collection}
    return Submission(
        prompt=prompt.name,
        version=prompt.version,
        body=words.encode(),
        media_type="text/plain",
        name="question",
        tenant=tenant,
        **asked,
    )
