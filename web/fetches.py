"""Documents that a submit names by their address: fetched while it waits, and from then on like an upload."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request

from docmill.net.fetching import fetch
from web.at_once import AtOnce
from web.limits import MOST_BYTES
from web.schemas import AddressWanted, FileWanted
from web.submission import Wanted, media_type

__all__ = ["with_document"]

DEADLINE_S = 20.0
"""Less than a client waits for its answer."""


async def with_document(request: Request, wanted: Wanted[FileWanted]) -> Wanted[FileWanted]:
    """Fetches the document, where only its address is given.

    Raises NotFetched, Problem where too many are being fetched.
    """
    if not isinstance(wanted.options, AddressWanted):
        return wanted
    state = request.app.state
    fetches: AtOnce = state.fetches
    # No file is fetched for a prompt that there is not.
    state.registry.get(wanted.options.prompt, wanted.options.version)
    with fetches.place():
        found = await fetch(
            wanted.options.document_url,
            private_hosts=state.settings.private_fetch_hosts,
            max_bytes=MOST_BYTES,
            deadline_s=DEADLINE_S,
        )
    name = wanted.name or found.name
    return replace(wanted, body=found.body, name=name, media_type=media_type(found.media_type))
