from __future__ import annotations

import pytest

from docmill.errors import Misconfigured
from docmill.net.internet import is_public
from docmill.net.webhook import check_address
from docmill.settings import load_settings


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_called(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:10.0.0.1",
        "64:ff9b::a00:1", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_those_of_private_networks_are_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url", ["http://example.com/x", "ftp://example.com", "https://", "nothing", "http://[::1", ""]
)
def test_what_is_no_webhook_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="a webhook is an address"):
        check_address(url, private_hosts=())


def test_a_named_host_may_be_private_and_plain() -> None:
    check_address("http://hooks.internal:8080/docmill", private_hosts={"hooks.internal"})
    check_address("https://example.com/docmill", private_hosts=())


def test_the_settings_refuse_it_without_showing_its_path() -> None:
    with pytest.raises(Misconfigured, match="DOCMILL_WEBHOOK_HOSTS") as refused:
        load_settings(budget_webhook="http://hooks.internal/secret-token")
    assert "secret-token" not in str(refused.value)
    assert load_settings(budget_webhook="http://a.b/x", webhook_hosts="a.b, c").private_webhook_hosts == {
        "a.b",
        "c",
    }
