"""Which addresses are on the internet, and how odd ones are refused."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.errors import NotFetched
from docmill.net.fetching import fetch
from docmill.net.internet import is_public


@pytest.mark.parametrize(
    "address",
    [
        *(
            "8.8.8.8",
            "1.1.1.1",
            "93.184.216.34",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "::ffff:8.8.8.8",
        ),
        *("172.32.0.1", "192.0.3.1", "100.128.0.1", "2620:fe::fe"),
    ],
)
def test_these_are_on_the_internet(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "0.0.0.0",
        ),
        *("192.0.0.192", "192.0.0.9", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *(
            "::1",
            "::",
            "fe80::1",
            "fe80::1%eth0",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "5f00::1",
            "100::1",
        ),
        *(
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:7f00:1",
            "::ffff:0:808:808",
        ),
        *("64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001::1"),
        *(
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:db8::1",
            "3fff::1",
            "2001:20::1",
            "4000::1",
            "fc00::8.8.8.8",
        ),
    ],
)
def test_these_are_not(address: str) -> None:
    assert not is_public(address)


PREFIXES = (
    "::",
    "::ffff:",
    "::ffff:0:",
    "64:ff9b::",
    "64:ff9b:1::",
    "2002:{}::",
    "fec0::",
    "fe80::",
    "fc00::",
    "5f00::",
)


@given(st.ip_addresses(v=4), st.sampled_from(PREFIXES))
def test_an_address_of_ipv4_within_one_of_ipv6_is_no_more_public_than_itself(
    inner: ipaddress.IPv4Address, prefix: str
) -> None:
    words = f"{int(inner) >> 16:x}:{int(inner) & 0xFFFF:x}"
    outer = prefix.format(words) if "{}" in prefix else prefix + words
    assert not is_public(outer) or (prefix == "::ffff:" and is_public(str(inner)))


@given(st.ip_addresses())
def test_what_python_takes_for_private_is_never_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        mapped = getattr(address, "ipv4_mapped", None)
        assert not is_public(str(address)) or (mapped is not None and is_public(str(mapped)))


ODD = (
    "https://",
    "http://",
    "https://a",
    "//",
    "[",
    "]",
    "[::1]",
    "%",
    ":",
    "@",
    "\ud800",
    "ä",
    "xn--",
    "." * 3,
    "a" * 300,
    "\0",
    "\n",
    "?",
    "#",
)


@given(st.lists(st.sampled_from(ODD) | st.text(max_size=8), max_size=6).map("".join))
def test_an_odd_address_is_refused_by_name(url: str) -> None:
    """Without https nothing is called; with it, names and numbers that nobody has."""
    with pytest.raises(NotFetched):
        asyncio.run(fetch(url.replace("https://", "http://"), deadline_s=5))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://" + "a" * 64 + ".example",
            "https://a..example/",
            "https://[::1",
            "https://[v1.a]/",
            "https://\ud800/",
        ),
        *(
            "https://example.com:99999/",
            "https://example.com:x/",
            "https://.",
            "https:///a",
            "ftp://a",
            "https://u:p@a/",
        ),
        *("https://127.0.0.1/", "https://[::ffff:0:7f00:1]/", "https://0x7f000001/", "https://2130706433/"),
    ],
)
def test_these_are_refused_by_name(url: str) -> None:
    with pytest.raises(NotFetched):
        asyncio.run(fetch(url, deadline_s=5))
