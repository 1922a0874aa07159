"""Documents over HTTP: what is known of one, its file, its text, and its pages as pictures.

A file is a stranger's, and is handed out beside a session's cookie: so that nothing of it ever runs, it goes as an
attachment, under a policy that allows nothing, and as the type that it is said to be.
"""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any
from urllib.parse import quote

from cachetools import LRUCache
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from db import documents
from db.documents import Original, Shown
from docmill.errors import Unreadable
from docmill.reading import Reader
from docmill.reading.layout.geometry import unpack
from docmill.reading.values import MOST_DOTS_AN_INCH
from web.access import Database, Tenant
from web.at_once import AtOnce
from web.problems import Problem, documented
from web.schemas import LARGEST_ID, DocumentDetails

__all__ = ["Pictures", "router"]

router = APIRouter(prefix="/v1/documents", tags=["documents"], responses=documented(401, 422, 503))

DocumentId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
MEDIA_TYPE = re.compile(r"[\w.+-]{1,100}/[\w.+-]{1,100}", re.ASCII)
ANY_MEDIA_TYPE = "application/octet-stream"
HARMLESS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "private, no-cache",
}
ASKED_FOR_EACH_TIME = {"vary": "cookie, authorization"}
"""A browser shows a page again only where whoever sits there now may see it, and it is not erased."""
ERASED = "the document's content was erased"
PIECE = 2**16
"""Bytes."""
PICTURES_KEPT = 64 * 2**20
"""Bytes of the pictures that one process keeps."""
MOST_WAITING = 4
"""Threads that wait for a page to be drawn; who comes then is told to come again."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pages as pictures, drawn one after the other in the confined process, the last ones kept by content."""

    reader: Reader
    _kept: LRUCache[tuple[str, int, int], bytes] = field(
        default_factory=lambda: LRUCache(PICTURES_KEPT, getsizeof=len)
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _places: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(MOST_WAITING))

    def page(self, sha256: str, page: int, dots_an_inch: int, read: Callable[[], Original]) -> bytes:
        """Returns a page, counted from 1, as a PNG; ``read`` gives its file. Raises Problem, Unreadable."""
        key = (sha256, page, dots_an_inch)
        with self._lock:
            known: bytes | None = self._kept.get(key)
        return known or self._drawn(key, read)

    def _drawn(self, key: tuple[str, int, int], read: Callable[[], Original]) -> bytes:
        _, page, dots_an_inch = key
        if not self._places.acquire(blocking=False):
            raise Problem(503, "other pages are being drawn: try again in a moment", {"retry-after": "1"})
        try:
            document = read()
            picture = self.reader.render(
                bytes(document.body or b""),
                page - 1,
                dots_an_inch=dots_an_inch,
                name=document.name,
                media_type=document.media_type,
            )
        finally:
            self._places.release()
        if len(picture) <= PICTURES_KEPT:
            with self._lock:
                self._kept[key] = picture
        return picture


@router.get(
    "/{document_id}",
    response_model=DocumentDetails,
    summary="What is known of a document",
    responses=documented(404),
)
def show_document(document_id: DocumentId, database: Database, tenant: Tenant) -> dict[str, Any]:
    return _as_json(_found(database.run(documents.shown, document_id, tenant)))


async def take_download(request: Request) -> AsyncIterator[None]:
    """A dependency: holds a place until the last byte is sent, or the caller is gone."""
    downloads: AtOnce = request.app.state.downloads
    with downloads.place():
        yield


@router.get(
    "/{document_id}/original",
    response_class=Response,
    summary="The file as it was submitted",
    dependencies=[Depends(take_download)],
    responses={
        200: {"description": "The bytes, as an attachment", "content": {"*/*": {}}},
        **documented(404, 410, 503),
    },
)
def download_document(document_id: DocumentId, database: Database, tenant: Tenant) -> Response:
    """In pieces, as fast as they are taken: who takes nothing is cut off, and who is slow is not."""
    found = _with_body(database.run(documents.original, document_id, tenant))
    kind = found.media_type if MEDIA_TYPE.fullmatch(found.media_type) else ANY_MEDIA_TYPE
    name = quote(found.name or f"document-{document_id}", safe="")
    disposition = f"attachment; filename*=UTF-8''{name}"
    body = bytes(found.body or b"")
    headers = {"content-type": kind, "content-disposition": disposition, "content-length": str(len(body))}
    return StreamingResponse(_pieces(body), headers=HARMLESS | headers)


@router.get(
    "/{document_id}/text",
    response_class=Response,
    summary="What was read of a document",
    responses={
        200: {"description": "The text, which places are offsets in", "content": {"text/plain": {}}},
        **documented(404),
    },
)
def show_text(document_id: DocumentId, database: Database, tenant: Tenant) -> Response:
    text = database.run(documents.text_of, document_id, tenant)
    if text is None:
        raise Problem(404, "there is no such document, or it has no text yet: it was not read")
    return Response(text.encode(), media_type="text/plain", headers=HARMLESS)


@router.get(
    "/{document_id}/pages/{page}.png",
    response_class=Response,
    summary="A page of a document as it is shown",
    responses={
        200: {"description": "A picture", "content": {"image/png": {}}},
        304: {"description": "It is the one that `If-None-Match` names"},
        **documented(404, 410),
    },
)
def show_page(
    document_id: DocumentId,
    page: Annotated[int, Path(ge=1, le=100_000, description="Counted from 1")],
    request: Request,
    database: Database,
    tenant: Tenant,
    dpi: Annotated[int, Query(ge=20, le=MOST_DOTS_AN_INCH, description="Dots an inch")] = 100,
) -> Response:
    """Of a PDF, or of a picture: other documents have no pages to be shown, which is a 404 as no such page is."""
    known = _found(database.run(documents.shown, document_id, tenant))
    if known.bytes is None:
        raise Problem(410, ERASED)
    tag = f'"{known.sha256[:32]}-{page}-{dpi}"'
    headers = {**HARMLESS, **ASKED_FOR_EACH_TIME, "etag": tag}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    pictures: Pictures = request.app.state.pictures
    try:
        picture = pictures.page(
            known.sha256, page, dpi, lambda: _with_body(database.run(documents.original, document_id, tenant))
        )
    except Unreadable as error:
        raise Problem(404, f"page {page} cannot be shown: {error}") from error
    return Response(picture, media_type="image/png", headers=headers)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), PIECE):
        yield body[at : at + PIECE]


def _found(document: Shown | None) -> Shown:
    if document is None:
        raise Problem(404, "there is no such document")
    return document


def _with_body(document: Original | None) -> Original:
    if document is None:
        raise Problem(404, "there is no such document")
    if document.body is None:
        raise Problem(410, ERASED)
    return document


def _as_json(document: Shown) -> dict[str, Any]:
    edges = [*(document.pages or ()), document.chars or 0]
    pages: list[dict[str, Any]] = [
        {"page": at, "start": start, "end": end} for at, (start, end) in enumerate(pairwise(edges), 1)
    ]
    for page, size in zip(pages, _sizes(document), strict=False):
        page.update(size)
    return {**{name: told for name, told in vars(document).items() if name != "layout"}, "pages": pages}


def _sizes(document: Shown) -> Iterator[dict[str, Any]]:
    """The size of each page as it is shown, and who found its words, where that is known."""
    try:
        layout = unpack(bytes(document.layout or b""))
    except ValueError:
        return
    for page in layout:
        yield {"width": page.width or None, "height": page.height or None, "by": page.by}
