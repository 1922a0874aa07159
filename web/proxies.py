"""Where a request was sent, as its browser has it: a proxy that is named in the settings may say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

__all__ = ["FORWARDED", "Address", "address_of", "authority", "is_loopback"]

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers of proxies. One before an API that listens on loopback alone lets everybody in."""
Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


@dataclass(frozen=True, kw_only=True)
class Address:
    """What stands in the browser's address bar, as far as it can be known."""

    scheme: str
    authority: str
    """Host and perhaps port."""
    on_this_machine: bool
    """Neither another machine nor a proxy is between."""

    @property
    def is_secret(self) -> bool:
        """Whether nobody listens on the way: what a browser shows again and again may be given to it."""
        return self.scheme == "https" or self.on_this_machine


def address_of(request: Request, trusted: Networks) -> Address:
    """Believes forwarded headers of a ``trusted`` proxy alone; the last value is the nearest one's."""
    headers = request.headers
    peer = request.client.host if request.client else ""
    scheme, host = request.url.scheme, headers.get("host", "")
    if _is_among(peer, trusted):
        scheme = _last(headers.get("x-forwarded-proto")) or scheme
        host = _last(headers.get("x-forwarded-host")) or host
    near = is_loopback(peer) and is_loopback(authority(host)[0]) and not any(name in headers for name in FORWARDED)
    return Address(scheme=scheme, authority=host, on_this_machine=near)


def is_loopback(host: str) -> bool:
    """Returns whether nobody but this machine reaches an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def authority(written: str) -> tuple[str, int | None]:
    """Host and port; an empty host for what is none, or says who asks."""
    try:
        parts = urlsplit(f"//{written}")
        return ("", None) if "@" in written else (parts.hostname or "", parts.port)
    except ValueError:
        return "", None


def _is_among(peer: str, networks: Networks) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    return any(address in network for network in networks)


def _last(listed: str | None) -> str:
    return (listed or "").rpartition(",")[2].strip().lower()
