"""Passwords beside addresses, whatever characters they have; and who is given which secret."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.settings import load_settings
from workers.roles import environment_for


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE", "DATABASE_OWNER", "BROKER", "CACHE"):
        monkeypatch.delenv(f"DOCMILL_{name}_URL", raising=False)


@pytest.mark.parametrize(
    ("name", "url", "full"),
    [
        ("database", "postgresql://docmill@db/docmill", "postgresql://docmill:a%40b%2Fc@db/docmill"),
        ("database_owner", "postgresql://owner@/d?host=/s", "postgresql://owner:a%40b%2Fc@/d?host=/s"),
        ("broker", "redis://broker:6379/0", "redis://:a%40b%2Fc@broker:6379/0"),
        ("broker", "amqp://me@one//;amqp://me@two//", "amqp://me:a%40b%2Fc@one//;amqp://me:a%40b%2Fc@two//"),
        ("cache", "redis://:its-own@cache/0", "redis://:its-own@cache/0"),
    ],
)
def test_a_password_is_put_into_the_address_that_has_none(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, full: str
) -> None:
    monkeypatch.setenv(f"DOCMILL_{name.upper()}_URL", url)
    monkeypatch.setenv(f"DOCMILL_{name.upper()}_PASSWORD", "a@b/c")
    assert getattr(load_settings(), f"{name}_url") == full


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_password_is_the_same_when_it_is_read_again(password: str) -> None:
    found = load_settings(broker_url="redis://broker:6379/0", broker_password=password)
    parts = urlsplit(found.broker_url or "")
    assert (unquote(parts.password or ""), parts.hostname, parts.port) == (password, "broker", 6379)


def test_each_program_is_given_the_secrets_that_it_needs(tmp_path: Path) -> None:
    config = tmp_path / "docmill.toml"
    config.write_text('[models.small]\nmodel = "m"\napi_key_env = "MY_KEY"\n')
    everything = {
        "PATH": "/bin",
        "MY_KEY": "k",
        "DOCMILL_LLM_API_KEY": "k",
        "DOCMILL_BUDGET_WEBHOOK": "https://hooks.example.com/secret",
        "DOCMILL_WEBHOOK_KEY": "w",
        "DOCMILL_METRICS_KEY": "m",
        "DOCMILL_DATABASE_OWNER_URL": "postgresql://owner@/d",
        "DOCMILL_FLOWER_PASSWORD": "f",
        "DOCMILL_DATABASE_URL": "postgresql://docmill@/d",
    }
    settings = load_settings(config=config)
    given = {
        part: set(environment_for(part, settings, everything)) - {"PATH", "DOCMILL_DATABASE_URL"}
        for part in ("io", "cpu", "quarantine", "api", "beat", "flower", "simulator")
    }
    assert given == {
        "io": {
            *("MY_KEY", "DOCMILL_LLM_API_KEY", "DOCMILL_BUDGET_WEBHOOK", "DOCMILL_WEBHOOK_KEY"),
            "DOCMILL_DATABASE_OWNER_URL",
        },
        "api": {"MY_KEY", "DOCMILL_LLM_API_KEY", "DOCMILL_WEBHOOK_KEY", "DOCMILL_METRICS_KEY"},
        "flower": {"DOCMILL_FLOWER_PASSWORD"},
        "cpu": set(),
        "quarantine": set(),
        "beat": set(),
        "simulator": set(),
    }
