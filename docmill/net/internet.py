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
from urllib.parse import SplitResult, urlsplit

from docmill.errors import DocmillError

__all__ = ["NotPublic", "is_public", "parts_of", "pinned"]

GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is given to anybody on the internet. Whatever else there is, is for networks of their own, or
stands for an address of IPv4, which is called as one or not at all.
"""
SPECIAL = tuple(
    ipaddress.ip_network(each)
    for each in (
        # https://www.iana.org/assignments/iana-ipv4-special-registry
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # https://www.iana.org/assignments/iana-ipv6-special-registry, within what is given to anybody
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
"""Also what these registries call reachable from everywhere, where a cloud may have its own business there."""


class NotPublic(DocmillError):
    """The host is on this machine, or in a network of its own."""


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """What to call, and how it is told which host is meant: keywords of an httpx request."""

    url: str
    headers: dict[str, str]
    extensions: dict[str, Any]


def parts_of(url: str) -> SplitResult:
    """Takes an address of http or https apart, its host as name services know it.

    Raises ValueError for what is no such address, or has a password: that would be told to everybody who sees it.
    """
    parts = urlsplit(url)
    port = "" if parts.port is None else f":{parts.port}"
    host = (parts.hostname or "").encode("idna").decode("ascii")  # a UnicodeError is a ValueError, too
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("no address of http or https without a password")
    return parts._replace(netloc=(f"[{host}]" if ":" in host else host) + port)


def is_public(address: str) -> bool:
    """Returns whether anybody on the internet may be reached there, nobody on this machine or in its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip not in GLOBAL_UNICAST:
            return False
    return ip.is_global and not any(ip in network for network in SPECIAL)


async def pinned(parts: SplitResult, *, may_be_private: bool) -> Pinned:
    """The address that the host has now. Raises NotPublic, OSError where the host is unknown."""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    addresses = [str(each[4][0]) for each in found]
    if not addresses:
        raise OSError(f"{parts.hostname} has no address")
    if not may_be_private and not all(is_public(address) for address in addresses):
        raise NotPublic(f"{parts.hostname} is not on the internet")
    address = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return Pinned(
        url=parts._replace(netloc=f"{address}:{port}", fragment="").geturl(),
        headers={"host": parts.netloc.rpartition("@")[2]},
        extensions={"sni_hostname": parts.hostname},
    )
