"""Telling another service of an event: one POST to an address that an operator has set.

Only public addresses are called, so that nobody who may set one can reach into a private network by it; hosts that
are meant to be private are named as such. The name is looked up once and that address is called; redirects are not
followed, and of the answer nothing but its status is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from docmill.errors import DocmillError, Misconfigured

__all__ = ["NotTold", "check_address", "is_public", "tell"]

DEADLINE_S = 10.0
# Addresses of IPv6 that stand for any of IPv4: what is behind them is not known here.
TRANSLATED = tuple(ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))


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


def is_public(address: str) -> bool:
    """Whether anybody on the internet may be reached there, and nobody on this machine or in its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped.is_global
        if any(ip in network for network in TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast


async def tell(url: str, event: Mapping[str, Any], *, private_hosts: Collection[str]) -> None:
    """Sends the event as JSON, whole within some seconds. Raises NotTold and Misconfigured."""
    check_address(url, private_hosts=private_hosts)
    parts = _parts(url)
    host = parts.hostname or ""
    try:
        async with asyncio.timeout(DEADLINE_S):
            address = await _address(parts, any_will_do=host in private_hosts)
            status = await _post(parts, address, event)
    except TimeoutError as error:
        raise NotTold(f"the webhook at {host} gave no answer within {DEADLINE_S:g} s") from error
    except (OSError, httpx.HTTPError) as error:
        raise NotTold(f"the webhook at {host} cannot be reached ({type(error).__name__})") from error
    if not 200 <= status < 300:
        raise NotTold(f"the webhook at {host} answered {status}")


async def _address(parts: SplitResult, *, any_will_do: bool) -> str:
    found = await asyncio.get_running_loop().getaddrinfo(
        parts.hostname, parts.port or _port(parts), type=socket.SOCK_STREAM
    )
    addresses = [str(each[4][0]) for each in found]
    if not any_will_do and not all(is_public(address) for address in addresses):
        raise NotTold(
            f"the webhook at {parts.hostname} is not on the internet: "
            f"name the host in DOCMILL_WEBHOOK_HOSTS if it is a private one of yours"
        )
    return addresses[0]


async def _post(parts: SplitResult, address: str, event: Mapping[str, Any]) -> int:
    """To that very address, under the host's name."""
    netloc = f"[{address}]" if ":" in address else address
    url = parts._replace(netloc=f"{netloc}:{parts.port or _port(parts)}", fragment="").geturl()
    headers = {"host": parts.netloc.rpartition("@")[2]}
    async with (
        httpx.AsyncClient(timeout=None, follow_redirects=False, trust_env=False) as client,  # noqa: S113
        client.stream(
            "POST", url, json=event, headers=headers, extensions={"sni_hostname": parts.hostname}
        ) as answer,
    ):
        return answer.status_code


def _port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise Misconfigured("a webhook is an address as in https://example.com/hooks/docmill") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Misconfigured("a webhook is an address as in https://example.com/hooks/docmill")
    return parts
