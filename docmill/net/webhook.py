"""Telling another service of an event: one POST to an address that an operator has set.

Only public addresses are called (:mod:`docmill.net.internet`); redirects are not followed, and of the answer
nothing but its status is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from docmill.errors import DocmillError, Misconfigured
from docmill.net.internet import NotPublic, pinned

__all__ = ["NotTold", "check_address", "tell"]

DEADLINE_S = 10.0


class NotTold(DocmillError):
    """The other service did not take it; the message never shows the address's path, which may hold a secret."""


def check_address(url: str, *, private_hosts: Collection[str]) -> None:
    """Raises Misconfigured for an address that will never be called."""
    parts = _parts(url)
    if parts.scheme != "https" and parts.hostname not in private_hosts:
        raise Misconfigured(
            f"a webhook is an address with https and a host, and {parts.hostname or 'this one'} is not: "
            f"use https, or name the host in DOCMILL_WEBHOOK_HOSTS if it is a private one of yours"
        )


async def tell(url: str, event: Mapping[str, Any], *, private_hosts: Collection[str]) -> None:
    """Sends the event as JSON, whole within some seconds. Raises NotTold and Misconfigured."""
    check_address(url, private_hosts=private_hosts)
    parts = _parts(url)
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(DEADLINE_S):
            status = await _post(parts, event, may_be_private=host in private_hosts)
    except TimeoutError as error:
        raise NotTold(f"the webhook at {host} gave no answer within {DEADLINE_S:g} s") from error
    except NotPublic as error:
        raise NotTold(
            f"the webhook at {host} is not on the internet: "
            f"name the host in DOCMILL_WEBHOOK_HOSTS if it is a private one of yours"
        ) from error
    except (OSError, httpx.HTTPError) as error:
        raise NotTold(f"the webhook at {host} cannot be reached ({type(error).__name__})") from error
    if not 200 <= status < 300:
        raise NotTold(f"the webhook at {host} answered {status}")


async def _post(parts: SplitResult, event: Mapping[str, Any], *, may_be_private: bool) -> int:
    to = await pinned(parts, may_be_private=may_be_private)
    async with (
        httpx.AsyncClient(timeout=None, follow_redirects=False, trust_env=False) as client,  # noqa: S113
        client.stream("POST", to.url, json=event, headers=to.headers, extensions=to.extensions) as answer,
    ):
        return answer.status_code


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Misconfigured("a webhook is an address as in https://example.com/hooks/docmill") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured("a webhook is an address as in https://example.com/hooks/docmill")
    return parts
