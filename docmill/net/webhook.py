"""Telling another service of an event: one POST, signed as Standard Webhooks has it, to an address somebody named.

Only public addresses are called (:mod:`docmill.net.internet`); redirects are not followed, and of the answer
nothing but its status is read.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from urllib.parse import SplitResult

import httpx

from docmill.errors import DocmillError, Misconfigured
from docmill.net.internet import NotPublic, parts_of, pinned

__all__ = ["LONGEST_ADDRESS", "NotTold", "Teller", "check_address", "new_secret", "shown_secret", "signed"]

DEADLINE_S = 10.0
LONGEST_ADDRESS = 2000
SECRET_BYTES = 32
PREFIX = "whsec_"


class NotTold(DocmillError):
    """The other service did not take it; the message never shows the address's path, which may hold a secret."""

    def __init__(self, told: str, *, status: int | None = None) -> None:
        super().__init__(told)
        self.status = status
        """What it answered; None where it did not."""


def check_address(url: str, *, private_hosts: Collection[str]) -> None:
    """Raises Misconfigured for an address that will never be called."""
    parts = _parts(url)
    if parts.scheme != "https" and parts.hostname not in private_hosts:
        raise Misconfigured(
            f"a webhook is an address with https and a host, and {parts.hostname or 'this one'} is not: "
            f"use https, or name the host in DOCMILL_WEBHOOK_HOSTS if it is a private one of yours"
        )


def new_secret() -> bytes:
    """Makes what a receiver's signatures are made with."""
    return secrets.token_bytes(SECRET_BYTES)


def shown_secret(secret: bytes) -> str:
    """Writes a secret as receivers' libraries take it."""
    return PREFIX + base64.b64encode(secret).decode()


def signed(secret: bytes, message: str, at: int, body: bytes) -> dict[str, str]:
    """Makes the headers of a message: its id, the same at each try, the time in seconds, and the signature.

    As in https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
    """
    digest = hmac.new(secret, b"%s.%d.%s" % (message.encode(), at, body), hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": signature}


class Teller:
    """Tells other services, from one loop. ``private_hosts`` need not be public, nor have https."""

    def __init__(self, *, private_hosts: Collection[str], deadline_s: float = DEADLINE_S) -> None:
        self._private_hosts = private_hosts
        self._deadline_s = deadline_s
        # No connection is used twice: it would be by its address, and another host's certificate unseen.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False, trust_env=False)  # noqa: S113

    async def close(self) -> None:
        await self._client.aclose()

    async def tell(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Sends JSON, whole within some seconds. Raises NotTold, Misconfigured."""
        check_address(url, private_hosts=self._private_hosts)
        parts = _parts(url)
        host = parts.hostname or ""
        try:
            async with asyncio.timeout(self._deadline_s):
                status = await self._post(parts, body, headers or {})
        except TimeoutError as error:
            raise NotTold(f"the webhook at {host} gave no answer within {self._deadline_s:g} s") from error
        except NotPublic as error:
            raise NotTold(
                f"the webhook at {host} is not on the internet: "
                f"name the host in DOCMILL_WEBHOOK_HOSTS if it is a private one of yours"
            ) from error
        except (OSError, ValueError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotTold(f"the webhook at {host} cannot be reached ({type(error).__name__})") from error
        if not 200 <= status < 300:
            raise NotTold(f"the webhook at {host} answered {status}", status=status)

    async def _post(self, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
        to = await pinned(parts, may_be_private=parts.hostname in self._private_hosts)
        sent = {**headers, "content-type": "application/json", "user-agent": "docmill", **to.headers}
        async with self._client.stream(
            "POST", to.url, content=body, headers=sent, extensions=to.extensions
        ) as answer:
            return answer.status_code


def _parts(url: str) -> SplitResult:
    try:
        return parts_of(url if len(url) <= LONGEST_ADDRESS else "")
    except ValueError as error:
        raise Misconfigured(
            "a webhook is an address as in https://example.com/hooks/docmill, without a password, "
            f"of at most {LONGEST_ADDRESS} characters"
        ) from error
