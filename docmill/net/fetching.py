"""A document from its address: https, public hosts alone, bounded in size and time.

Every redirect is looked at like the first address, and its host looked up and pinned anew
(:mod:`docmill.net.internet`). Nothing is unpacked on the way: what a server has packed all the same is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import SplitResult, unquote, urljoin

import httpx

from docmill.errors import NotFetched, SourceAway
from docmill.net.internet import NotPublic, parts_of, pinned
from docmill.reading.headers import parsed, shown
from docmill.reading.values import DEFAULT_LIMITS

__all__ = ["Fetched", "fetch", "is_address"]

DEADLINE_S = 60.0
"""For the whole of it, redirects too."""
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""What a server answers that may answer better later."""
LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """A document as it came."""

    body: bytes
    name: str
    """As the server calls it, or the last part of its address."""
    media_type: str
    """As the server declares it; empty where it does not."""


def is_address(given: str) -> bool:
    """Returns whether this is meant as an address, and not as a file's path."""
    return re.match(r"https?://", given, re.IGNORECASE) is not None


async def fetch(
    url: str,
    *,
    private_hosts: Collection[str] = (),
    max_bytes: int = DEFAULT_LIMITS.max_bytes,
    deadline_s: float = DEADLINE_S,
) -> Fetched:
    """The document at an address. ``private_hosts`` need not be public, nor have https.

    Raises NotFetched; SourceAway where a later try may find it.
    """
    parts = _parts(url)
    try:
        async with asyncio.timeout(deadline_s), _client() as client:
            for _ in range(MOST_REDIRECTS + 1):
                found = await _get(client, parts, private_hosts, max_bytes)
                if isinstance(found, Fetched):
                    return found
                parts = _parts(_joined(parts, found))
    except TimeoutError as error:
        raise SourceAway(f"{parts.hostname} gave no whole document within {deadline_s:g} s") from error
    except NotPublic as error:
        raise NotFetched(
            f"{error}, and documents are fetched from there alone: "
            f"name the host in DOCMILL_FETCH_HOSTS if it is a private one of yours"
        ) from error
    except (ValueError, httpx.InvalidURL) as error:
        raise NotFetched(f"{parts.hostname} cannot be asked ({type(error).__name__})") from error
    except (OSError, httpx.HTTPError) as error:
        raise SourceAway(f"{parts.hostname} cannot be reached ({type(error).__name__})") from error
    raise NotFetched(f"{parts.hostname} redirects more than {MOST_REDIRECTS} times")


def _joined(parts: SplitResult, location: str) -> str:
    try:
        return urljoin(parts.geturl(), location)
    except ValueError as error:
        raise NotFetched(f"{parts.hostname} redirects to what is no address") from error


def _client() -> httpx.AsyncClient:
    """No connection is used twice: it would be by its address, and another host's certificate unseen."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False, trust_env=False)  # noqa: S113


async def _get(
    client: httpx.AsyncClient, parts: SplitResult, private_hosts: Collection[str], max_bytes: int
) -> Fetched | str:
    """The document, or where the server sends us instead."""
    may_be_private = parts.hostname in private_hosts
    if parts.scheme != "https" and not may_be_private:
        raise NotFetched(f"{parts.hostname} is asked without https, and documents are fetched with it alone")
    to = await pinned(parts, may_be_private=may_be_private)
    headers = {**to.headers, "accept-encoding": "identity", "user-agent": "docmill"}
    async with client.stream("GET", to.url, headers=headers, extensions=to.extensions) as answer:
        if answer.status_code in REDIRECTS and "location" in answer.headers:
            return str(answer.headers["location"])
        if answer.status_code != 200:
            kind = SourceAway if answer.status_code in PASSING else NotFetched
            raise kind(f"{parts.hostname} answered {answer.status_code} instead of a document")
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise NotFetched(f"{parts.hostname} sends it packed, though it was asked not to: fetch it yourself")
        body = await _body(answer, parts.hostname, max_bytes)
        return Fetched(body=body, name=_name(answer, parts), media_type=answer.headers.get("content-type", ""))


async def _body(answer: httpx.Response, host: str | None, max_bytes: int) -> bytes:
    found = bytearray()
    async for part in answer.aiter_raw():
        found += part
        if len(found) > max_bytes:
            raise NotFetched(f"the document at {host} has more than {max_bytes:,} bytes: split it")
    return bytes(found)


def _name(answer: httpx.Response, parts: SplitResult) -> str:
    disposition = answer.headers.get("content-disposition", "").encode("utf-8", "replace")
    told = parsed(b"Content-Disposition: " + disposition + b"\n\n").get_filename()
    name = (told and shown(told)) or PurePosixPath(unquote(parts.path)).name or str(parts.hostname)
    return PurePosixPath(name.replace("\\", "/").replace("\0", "")).name[-LONGEST_NAME:]


def _parts(url: str) -> SplitResult:
    try:
        return parts_of(url)
    except ValueError as error:
        raise NotFetched(
            "a document's address is one as in https://example.com/invoice.pdf, without a password"
        ) from error
