"""Collections over HTTP: documents put in and taken out, passages found, questions asked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, BackgroundTasks, Path, Query, Request
from fastapi.concurrency import run_in_threadpool

from db import collections, reports
from db.submit import Indexing, submit, submit_index
from docmill.bounds import due_at
from docmill.storable import is_storable_json
from tasks.calls.embedding.call import Asker
from tasks.question import passages_for, submission_of
from tasks.services import Services
from web import submission
from web.access import Database, Operating, Tenant
from web.problems import Problem, documented
from web.schemas import (
    LARGEST_ID,
    CollectionName,
    Collections,
    DocumentPage,
    FileToIndex,
    Hits,
    IdempotencyKey,
    JobShown,
    QuestionWanted,
    Storable,
    TextToIndex,
    Words,
)
from web.shown import shown

__all__ = ["router"]

router = APIRouter(prefix="/v1/collections", tags=["collections"], responses=documented(401, 422, 503))

FILTER_CHARS = 4000
DocumentId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


@router.get("", response_model=Collections, summary="Every collection, with what is in it")
def list_collections(database: Database, tenant: Tenant) -> dict[str, Any]:
    with database.work() as connection:
        return {"collections": collections.listed(connection, tenant)}


@router.post(
    "/{collection}/documents",
    status_code=202,
    response_model=JobShown,
    summary="Put a document into a collection",
    responses=documented(400, 408, 413, 415),
    openapi_extra={"requestBody": submission.INDEX_BODY},
)
async def index_document(
    collection: CollectionName, request: Request, background: BackgroundTasks, database: Database, tenant: Tenant
) -> JobShown:
    """The collection is made where there is none of that name. Once the job is done, the document is found.

    The same document again takes the place of the one before, with its new `meta` and `language`.
    """
    wanted = await submission.read(request, file=FileToIndex, text=TextToIndex)
    options = wanted.options
    indexing = Indexing(
        collection=collection,
        body=wanted.body,
        media_type=wanted.media_type,
        name=wanted.name,
        tenant=tenant,
        feature=options.feature,
        usr=options.user,
        lane=options.lane,
        meta=options.meta,
        language=options.language,
    )

    def accept() -> JobShown:
        with database.work() as connection:
            collections.ensure(connection, tenant, collection, request.app.state.settings.embedding)
            report = reports.job_report(connection, submit_index(connection, indexing))
            return shown(request.app.state.registry, report)

    background.add_task(request.app.state.fleet.start)
    return await run_in_threadpool(accept)


@router.get(
    "/{collection}/documents",
    response_model=DocumentPage,
    summary="The documents of a collection",
    responses=documented(404),
)
def list_documents(
    collection: CollectionName,
    database: Database,
    tenant: Tenant,
    cursor: Annotated[int, Query(ge=0, le=LARGEST_ID, description="`next` of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """By their ids; `next` is null on the last page."""
    with database.work() as connection:
        found = collections.find(connection, tenant, collection)
        rows = collections.documents_of(connection, found, limit=limit + 1, after=cursor)
    page = rows[:limit]
    return {"documents": page, "next": page[-1]["id"] if len(rows) > limit else None}


@router.delete(
    "/{collection}/documents/{document_id}",
    status_code=204,
    summary="Take a document out of a collection",
    responses=documented(404),
)
def remove_document(
    collection: CollectionName,
    document_id: DocumentId,
    database: Database,
    tenant: Operating,
    everywhere: Annotated[bool, Query(description="Delete it, with its text, from every collection")] = False,
) -> None:
    """With `everywhere` its text, chunks and vectors are gone; what jobs have found in it stays theirs."""
    with database.work() as connection:
        found = collections.find(connection, tenant, collection)
        if not collections.leave_collection(connection, found, document_id):
            raise Problem(404, f"collection {collection} has no document {document_id}")
        if everywhere:
            collections.delete_document(connection, tenant, document_id)


@router.get(
    "/{collection}/search",
    response_model=Hits,
    summary="The passages that say most about a question",
    responses=documented(404),
)
def search_collection(
    collection: CollectionName,
    q: Annotated[Words, Query(description="What is looked for", examples=["When does the harbour gate close?"])],
    request: Request,
    tenant: Tenant,
    limit: Annotated[int, Query(ge=1, le=200)] = 10,
    mode: Annotated[
        Literal["hybrid", "vector", "text"], Query(description="By words and meaning, by meaning, or by words")
    ] = "hybrid",
    filter: Annotated[  # noqa: A002 - its name in the address
        str | None,
        Query(
            max_length=FILTER_CHARS,
            description="What a document's `meta` must contain, as JSON",
            examples=['{"shelf": 7}'],
        ),
    ] = None,
    feature: Storable = "default",
    user: Storable = "",
) -> dict[str, Any]:
    """By words, in each document's language, and by meaning. A model that is called for the question's vector is
    asked once, and is in the ledger under `feature` and `user`."""
    services: Services = request.app.state.services
    wanted = None if filter is None else _filter(filter)
    asker = Asker(tenant=tenant, feature=feature, usr=user)
    hits = passages_for(services, collection, q, asker=asker, limit=limit, mode=mode, wanted=wanted)
    return {"hits": [vars(hit) for hit in hits]}


@router.post(
    "/{collection}/ask",
    status_code=202,
    response_model=JobShown,
    summary="Ask a collection",
    responses=documented(404, 408, 409),
)
def ask_collection(
    collection: CollectionName,
    asked: QuestionWanted,
    request: Request,
    background: BackgroundTasks,
    database: Database,
    tenant: Tenant,
    idempotency_key: IdempotencyKey = None,
) -> JobShown:
    """A job, whose value is the answer with its citations, or that the passages do not hold one."""
    prompt = request.app.state.registry.get(asked.prompt, asked.version)
    options = {
        "feature": asked.feature,
        "usr": asked.user,
        "lane": asked.lane,
        "deadline_at": due_at(asked.deadline),
        "idem_key": idempotency_key,
    }
    background.add_task(request.app.state.fleet.start)
    with database.work() as connection:
        question = submission_of(connection, prompt, collection, asked.question, tenant=tenant, **options)
        return shown(request.app.state.registry, reports.job_report(connection, submit(connection, question)))


def _filter(written: str) -> dict[str, Any]:
    read = submission.read_json("filter", written)
    if not isinstance(read, dict) or not is_storable_json(read):
        raise Problem(422, 'filter: an object of JSON, as {"shelf": 7}, without NUL and half surrogate pairs')
    return read
