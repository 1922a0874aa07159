"""The one place that speaks HTTP to providers.

What goes wrong on the way is a :class:`~docmill.errors.Failure` and no exception: a call that failed is a row
in the ledger like any other.
"""

from __future__ import annotations

import asyncio
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from types import TracebackType
from typing import Any, Protocol
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
import structlog
from yarl import URL

from docmill.errors import Failure, Misconfigured

__all__ = ["NOT_SENT", "HttpTransport", "Response", "Transport"]

NOT_SENT = "not_sent"
"""The failure's code where the request never left, so that nobody can have billed it."""

log = structlog.get_logger()

IDLE_S = 30.0
"""How long a connection stays open for the next call: servers close theirs by then."""
LONGEST_HEADER = 100_000
"""Bytes of one header: a provider's own proxies add kilobytes."""
MOST_HEADERS = 1_000
LARGEST_BODY = 16_000_000
"""Bytes, as they come and after each decoding; no answer of a model comes near, and of vectors hardly one."""
MOST_VALUES = 1_000_000
"""Of a body: Python takes a hundred bytes for what is two in JSON."""
MOST_CODINGS = 2
WINDOWS: Mapping[str, tuple[int, ...]] = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15)}
"""zlib's names of each coding that is taken: servers mean two things by deflate."""

OWN_HEADERS: Mapping[str, str] = {
    "accept": "*/*",
    "accept-encoding": "gzip",
    "content-type": "application/json",
    "user-agent": "docmill",
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


class HttpTransport:
    """aiohttp, with a deadline for the whole call. For one event loop.

    Redirects are not followed: a provider's address is configured, and a key must not travel elsewhere.

    httpx, which speaks to all others, takes six times as much CPU for a call (``docs/decisions/0220``).
    """

    def __init__(self) -> None:
        """Raises Misconfigured for a proxy in the environment that cannot be spoken to."""
        self._proxies = _named_proxies()
        self._trusted = httpx.create_ssl_context()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> HttpTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any], deadline_s: float
    ) -> Response | Failure:
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.sleep(0)  # the loop looks which connections their servers have closed
                return await self._post(url, headers, body)
        except TimeoutError:
            return Failure(kind="timeout", message=f"no whole answer within {deadline_s:g} s")
        except aiohttp.InvalidURL:
            return Failure(kind="bad_request", message=f"{_origin(url)} is no address: mend DOCMILL_LLM_URL")
        except aiohttp.ClientConnectorError as error:
            message = f"nothing answers at {_origin(url)} ({error})"
            return Failure(kind="connection", message=message, code=NOT_SENT)
        except aiohttp.ClientError as error:
            # No more of it, since it may name the whole address, and keys stand in some.
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            return Failure(
                kind="connection", message=f"the connection broke: {type(error).__name__} {why}".rstrip()
            )
        except Exception as error:
            # Nobody knows how far it got, and so whether it was answered.
            log.exception("call_broke")
            return Failure(kind="connection", message=f"the call broke: {type(error).__name__}")

    async def _post(self, url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> Response | Failure:
        address = _address(url)
        sent = {**OWN_HEADERS, **headers}
        if address.raw_user or address.raw_password:  # they stand for the key, and are not taken beside one
            sent = {name: value for name, value in sent.items() if name.lower() != "authorization"}
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        async with self._connections().post(
            address,
            data=BytesIO(written),  # large ones go out in parts, and others get a turn between them
            headers=sent,
            proxy=self._proxy_to(address),
            allow_redirects=False,
        ) as response:
            return await _read(response)

    def _connections(self) -> aiohttp.ClientSession:
        """Those to all providers, as many as there are calls at once. They belong to the loop that runs."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ssl=self._trusted),
                # The deadline bounds the whole call; a second timeout within it would only add a second answer.
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),  # they serve all accounts
                auto_decompress=False,  # without a bound three kilobytes of gzip in gzip are four gigabytes
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
                max_headers=MOST_HEADERS,
            )
        return self._session

    def _proxy_to(self, address: URL) -> URL | None:
        if not self._proxies or proxy_bypass(address.authority.rpartition("@")[2]):
            return None
        return self._proxies.get(address.scheme) or self._proxies.get("all")


def _named_proxies() -> Mapping[str, URL]:
    """The environment's proxies by scheme, ``all`` among these. Raises Misconfigured."""
    proxies: dict[str, URL] = {}
    for scheme, named in getproxies().items():
        if scheme not in ("http", "https", "all"):
            continue
        try:
            proxy = URL(named if "://" in named else f"http://{named}")
        except ValueError:
            proxy = URL()
        if proxy.scheme not in ("http", "https") or not proxy.host:
            # What the environment has wrong must not be found by a call.
            raise Misconfigured(
                f"calls cannot go through the proxy that {scheme.upper()}_PROXY names: mend it; http:// and "
                "https:// are taken"
            )
        proxies[scheme] = proxy
    return proxies


@lru_cache(maxsize=256)
def _address(url: str) -> URL:
    """Reads an address. Raises aiohttp.InvalidURL."""
    try:
        address = URL(url)
    except ValueError as error:
        raise aiohttp.InvalidURL(url) from error
    if address.scheme not in ("http", "https") or not address.host:
        raise aiohttp.InvalidURL(url)
    return address


async def _read(response: aiohttp.ClientResponse) -> Response | Failure:
    status, headers = response.status, _texts(response.raw_headers)
    try:
        told = _decoded(_opened(await _received(response), headers.get("content-encoding", "")))
    except Unfit as unfit:
        if status >= 400:  # status and headers say what is wrong, and for how long
            return Response(status=status, headers=headers, body="")
        return Failure(kind="server_error", message=f"the answer {unfit}", status=status)
    return Response(status=status, headers=headers, body=told)


def _texts(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in small letters; those of one name are joined."""
    headers: dict[str, str] = {}
    for name, value in raw:
        told, text = name.decode("latin-1").lower(), value.decode("utf-8", errors="replace")
        headers[told] = f"{headers[told]}, {text}" if told in headers else text
    return headers


class Unfit(Exception):
    """A body that nobody can read, and why."""


TOO_LARGE = f"has more than {LARGEST_BODY} bytes"


async def _received(response: aiohttp.ClientResponse) -> bytes:
    """The body as it comes. Raises Unfit for one that is too large."""
    content = bytearray()
    async for part in response.content.iter_any():
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
