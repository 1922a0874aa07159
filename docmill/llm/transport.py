"""The one place that speaks HTTP to providers.

What goes wrong on the way is a :class:`~docmill.errors.Failure` and no exception: a call that failed is a row
in the ledger like any other.
"""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Any, Protocol

import httpx
import structlog

from docmill.errors import Failure, Misconfigured

__all__ = ["NOT_SENT", "HttpTransport", "Response", "Transport"]

NOT_SENT = "not_sent"
"""The failure's code where the request never left, so that nobody can have billed it."""

log = structlog.get_logger()

IDLE_S = 30.0
LARGEST_BODY = 16_000_000
"""Bytes, as they come and after each decoding; no answer of a model comes near, and of vectors hardly one."""
MOST_VALUES = 1_000_000
"""Of a body: Python takes a hundred bytes for what is two in JSON."""
MOST_CODINGS = 2
WINDOWS: Mapping[str, tuple[int, ...]] = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's names of each coding that is taken: servers mean two things by deflate."""

OWN_HEADERS: Mapping[str, str] = {
    "accept": "*/*",
    "connection": "keep-alive",
    "user-agent": f"python-httpx/{httpx.__version__}",
    # httpx would decode without a bound: three kilobytes of gzip in gzip are four gigabytes.
    "accept-encoding": "gzip",
}
"""Of every request; what a wire demands goes before them."""


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


@dataclass(frozen=True, kw_only=True)
class Idle:
    """A client that nobody uses, and since when, by ``time.monotonic``."""

    client: httpx.AsyncClient
    since: float


class HttpTransport:
    """httpx, with a deadline for the whole call. For one event loop.

    Redirects are not followed: a provider's address is configured, and a key must not travel elsewhere.

    A client makes one call at a time, and there are as many as there were calls at once: httpx looks at all
    connections of a client at the beginning and the end of each call, which for a hundred of them takes longer
    than all the rest. The client used last goes first, so that its connection is still open.
    """

    def __init__(self) -> None:
        """Raises Misconfigured for a proxy in the environment that httpx does not take."""
        self._trusted = httpx.create_ssl_context()
        # The first is made here: what the environment has wrong must not be found by a call.
        try:
            first = self._new_client()
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise Misconfigured(
                f"calls cannot go through the proxy that the environment names ({type(error).__name__}): mend "
                "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY; http:// and https:// are taken"
            ) from error
        self._idle = deque([Idle(client=first, since=time.monotonic())])

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.popleft().client.aclose()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        await self._close_one_too_many()
        client = self._idle.pop().client if self._idle else self._new_client()
        try:
            async with asyncio.timeout(deadline_s):
                return await _post(client, url, headers, body)
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
        except Exception as error:
            # Nobody knows how far it got, and so whether it was answered.
            log.exception("call_broke")
            return Failure(kind="connection", message=f"the call broke: {type(error).__name__}")
        finally:
            self._idle.append(Idle(client=client, since=time.monotonic()))

    async def _close_one_too_many(self) -> None:
        """The client that has been idle for longest: its server has closed the connection by now."""
        if len(self._idle) > 1 and self._idle[0].since < time.monotonic() - IDLE_S:
            await self._idle.popleft().client.aclose()

    def _new_client(self) -> httpx.AsyncClient:
        # The deadline bounds the whole call; a second timeout within it would only add a second answer.
        return httpx.AsyncClient(
            verify=self._trusted,
            timeout=None,  # noqa: S113
            follow_redirects=False,
            # A server may set another one with each answer: none is sent, so none is kept.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )


async def _post(
    client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: Mapping[str, Any]
) -> Response | Failure:
    # Made without the client, which would read the address anew for each call, and send along what cookies it was
    # given for a call of another account's.
    request = httpx.Request("POST", _address(url), headers={**OWN_HEADERS, **headers}, json=dict(body))
    response = await client.send(request, stream=True)
    try:
        return await _read(response)
    finally:
        await response.aclose()


@lru_cache(maxsize=256)
def _address(url: str) -> httpx.URL:
    """Reads an address. Raises httpx.InvalidURL."""
    return httpx.URL(url)


async def _read(response: httpx.Response) -> Response | Failure:
    status, headers = response.status_code, dict(response.headers)
    try:
        told = _decoded(_opened(await _received(response), headers.get("content-encoding", "")))
    except Unfit as unfit:
        if status >= 400:  # status and headers say what is wrong, and for how long
            return Response(status=status, headers=headers, body="")
        return Failure(kind="server_error", message=f"the answer {unfit}", status=status)
    return Response(status=status, headers=headers, body=told)


class Unfit(Exception):
    """A body that nobody can read, and why."""


TOO_LARGE = f"has more than {LARGEST_BODY} bytes"


async def _received(response: httpx.Response) -> bytes:
    """The body as it comes. Raises Unfit for one that is too large."""
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > LARGEST_BODY:
            raise Unfit(TOO_LARGE)
    return bytes(content)


def _opened(content: bytes, codings: str) -> bytes:
    """The body without its codings, of which the last was put on last. Raises Unfit."""
    names = [name.strip().lower() for name in codings.split(",")]
    named = [name for name in names if name not in ("", "identity")]
    if len(named) > MOST_CODINGS or not all(name in WINDOWS for name in named):
        raise Unfit("is coded in a way that nobody asked for")
    for name in reversed(named):
        content = _inflated(content, WINDOWS[name])
    return content


def _inflated(content: bytes, windows: Sequence[int]) -> bytes:
    for window in windows:
        inflater = zlib.decompressobj(window)
        try:
            opened = inflater.decompress(content, LARGEST_BODY + 1)
        except zlib.error:
            continue
        if len(opened) > LARGEST_BODY:
            raise Unfit(TOO_LARGE)
        if inflater.eof:
            return opened
    raise Unfit("is not coded as it says, or cut off")


def _decoded(content: bytes) -> object:
    """JSON, or the text where it is none. Raises Unfit for one that takes more memory than an answer is worth."""
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise Unfit(f"has more than {MOST_VALUES} values")
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", errors="replace")


def _origin(url: str) -> str:
    """The address without path and query, and without a password that somebody put into it."""
    return url.partition("?")[0].rpartition("@")[2]
