"""Addresses that somebody else has named: only public ones are called, each looked up once.

Who may name an address must not reach into a private network by it. So a host's name is looked up once, each of
its addresses must be public, and that very address is called under the host's name: a second answer of the name
service changes nothing. Hosts that are meant to be private are named by the operator.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from docmill.errors import DocmillError

__all__ = ["NotPublic", "Pinned", "is_public", "pinned"]

# Addresses of IPv6 that stand for any of IPv4: what is behind them is not known here.
TRANSLATED = tuple(ipaddress.ip_network(each) for each in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))


class NotPublic(DocmillError):
    """The host is on this machine, or in a network of its own."""


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """What to call, and how it is told which host is meant: keywords of an httpx request."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, Any]


def is_public(address: str) -> bool:
    """Whether anybody on the internet may be reached there, and nobody on this machine or in its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped.is_global
        if any(ip in network for network in TRANSLATED):
            return False
    return ip.is_global and not ip.is_multicast


async def pinned(parts: SplitResult, *, may_be_private: bool) -> Pinned:
    """The address that the host has now. Raises NotPublic, OSError where the host is unknown."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    if not may_be_private and not all(is_public(address) for address in addresses):
        raise NotPublic(f"{parts.hostname} is not on the internet")
    address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return Pinned(
        url=parts._replace(netloc=f"{address}:{port}", fragment="").geturl(),
        headers={"host": parts.netloc.rpartition("@")[2]},
        extensions={"sni_hostname": parts.hostname},
    )
