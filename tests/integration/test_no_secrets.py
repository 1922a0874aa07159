"""No command and no answer of the API shows what is secret in an address, whatever is away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.engine import make_engine
from tests.command import Command
from tests.integration.test_api_edges import app_of, asked
from workers.stack.servers import EmbeddedServers

SECRET = "zanzibarquill"
AWAY = {
    "DOCMILL_DATABASE_URL": f"postgresql://me:{SECRET}@127.0.0.1:1/none?password={SECRET}",
    "DOCMILL_BROKER_URL": f"redis://me:{SECRET}@127.0.0.1:1/0",
    "DOCMILL_CACHE_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
    "DOCMILL_LLM_URL": f"http://{SECRET}:{SECRET}@127.0.0.1:1/v1?key={SECRET}",
}
WRONG = {name: value.replace("://", f"://{SECRET}:{SECRET}@[::", 1) for name, value in AWAY.items()}
COMMANDS = (
    ("doctor",),
    ("doctor", "--json"),
    ("models",),
    ("models", "--json"),
    ("cache",),
    ("jobs",),
    ("costs", "--json"),
    ("migrate",),
    ("submit", __file__, "--prompt", "receipt"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("settings", [AWAY, WRONG], ids=["away", "wrong"])
def test_a_command_tells_what_is_away_without_its_password(
    docmill: Command, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    found = docmill(*command)
    assert found.returncode != 0
    assert SECRET not in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("name", WRONG)
def test_an_address_that_is_none_is_told_without_its_password(
    docmill: Command, monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers, name: str
) -> None:
    addresses = {"DOCMILL_DATABASE_URL": servers.database_url, "DOCMILL_BROKER_URL": servers.broker_url}
    for setting, value in {**addresses, "DOCMILL_CACHE_URL": servers.cache_url, name: WRONG[name]}.items():
        monkeypatch.setenv(setting, value)
    for command in (("doctor",), ("doctor", "--json"), ("models",), ("cache",)):
        found = docmill(*command)
        assert SECRET not in found.stdout + found.stderr
        assert found.returncode == 1 or command[0] != "doctor"


def test_what_works_is_told_without_passwords_too(
    docmill: Command, monkeypatch: pytest.MonkeyPatch, servers: EmbeddedServers, tmp_path: Path
) -> None:
    config = tmp_path / "docmill.toml"
    config.write_text(
        f'[models.small]\nmodel = "m"\nprovider = "openai"\nbase_url = "http://u:{SECRET}@127.0.0.1:1/v1?key={SECRET}"\n'
    )
    for name, value in {
        **AWAY,
        "DOCMILL_DATABASE_URL": servers.database_url,
        "DOCMILL_CONFIG": str(config),
    }.items():
        monkeypatch.setenv(name, value)
    for command in (("models",), ("models", "--json"), ("doctor",), ("doctor", "--json")):
        found = docmill(*command)
        assert "127.0.0.1:1" in found.stdout.replace("\n", ""), "the address itself is told"
        assert SECRET not in found.stdout + found.stderr


def test_no_answer_of_the_api_shows_a_password(engine: Engine) -> None:
    away = app_of(make_engine(AWAY["DOCMILL_DATABASE_URL"], probe=False))
    for path in ("/readyz", "/v1/jobs", "/metrics", "/costs"):
        found = asked(away, "GET", path)
        assert found.status_code == 503
        assert SECRET not in found.text


IO_WORKER = """
from pathlib import Path
from celery import Celery
from docmill.settings import load_settings
from workers.services import io_services
settings = load_settings()
with io_services(settings, owner="io", celery=Celery()):
    print(Path("/proc/self/environ").read_text(), settings.llm_api_key.get_secret_value())
"""


def test_an_io_worker_s_environment_is_not_told_to_others_of_its_user() -> None:
    """A prompt's own checks run beside it, and could look there."""
    given = {**AWAY, "DOCMILL_LLM_API_KEY": SECRET}
    command = [sys.executable, "-c", IO_WORKER]
    found = subprocess.run(command, env={**os.environ, **given}, check=True, capture_output=True, text=True)
    told, key = found.stdout.rsplit(maxsplit=1)
    assert (key, told.count(SECRET)) == (SECRET, 0)
    assert all(f"{name}=x" in told for name in given)
