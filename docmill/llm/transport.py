"""The one place that speaks HTTP to providers.

What goes wrong on the way is a :class:`~docmill.errors.Failure` and no exception: a call that failed is a row
in the ledger like any other.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

import httpx

from docmill.errors import Failure

__all__ = ["NOT_SENT", "HttpTransport", "Response", "Transport"]

NOT_SENT = "not_sent"
"""The failure's code where the request never left, so that nobody can have billed it."""

LARGEST_BODY = 32_000_000
"""Bytes; no answer of a model comes near."""


@dataclass(frozen=True, kw_only=True)
class Response:
    """What a provider answered."""

    status: int
    headers: Mapping[str, str]
    body: object
    """Decoded JSON; the text where it is none."""


class Transport(Protocol):
    """The seam between docmill and the HTTP library."""

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        """One request, whole within ``deadline_s`` seconds from now."""


class HttpTransport:
    """httpx, with a deadline for the whole call.

    Redirects are not followed: a provider's address is configured, and a key must not travel elsewhere.
    """

    def __init__(self, *, connections: int = 500) -> None:
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        # The deadline below bounds the whole call; a second timeout within it would only add a second answer.
        self._client = httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False)  # noqa: S113

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._post(url, headers, body)
        except TimeoutError:
            return Failure(kind="timeout", message=f"no whole answer within {deadline_s:g} s")
        except httpx.ConnectError as error:
            message = f"nothing answers at {_origin(url)} ({error})"
            return Failure(kind="connection", message=message, code=NOT_SENT)
        except httpx.HTTPError as error:
            return Failure(kind="connection", message=f"the connection broke: {type(error).__name__}: {error}")
        except httpx.InvalidURL as error:
            return Failure(
                kind="bad_request", message=f"{_origin(url)} is no address ({error}): mend DOCMILL_LLM_URL"
            )

    async def _post(self, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Response | Failure:
        async with self._client.stream("POST", url, headers=dict(headers), json=dict(body)) as response:
            content = bytearray()
            async for part in response.aiter_bytes():
                content += part
                if len(content) > LARGEST_BODY:
                    return Failure(kind="server_error", message=f"the answer has more than {LARGEST_BODY} bytes")
            return Response(
                status=response.status_code, headers=dict(response.headers), body=_decoded(bytes(content))
            )


def _decoded(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", errors="replace")


def _origin(url: str) -> str:
    """The address without path and query, and without a password that somebody put into it."""
    return url.partition("?")[0].rpartition("@")[2]
