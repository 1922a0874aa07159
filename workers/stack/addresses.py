"""Where the parts of a running stack are: written by ``docmill up``, read by the other commands."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from docmill.errors import Misconfigured
from docmill.settings import Settings, load_settings
from workers.stack.account import HOME
from workers.stack.kept import WEBHOOK_KEY, find_secret

__all__ = ["READY", "URLS", "Addresses", "addresses_on", "default_data", "environment_of", "settings_of"]

URLS = ("database_url", "database_owner_url", "broker_url", "cache_url", "llm_url")
READY = "ready.json"
"""In the data folder, while the stack is up."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """What runs, and where; None for what does not run."""

    database_url: str
    """As the application's role."""
    database_owner_url: str | None = None
    """As the tables' owner; None where that is the same."""
    broker_url: str
    cache_url: str
    llm_url: str | None = None
    simulator: str | None = None
    api: str | None = None
    flower: str | None = None
    pids: dict[str, int] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Appears whole: written beside and renamed. Only its owner can read it."""
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=2)
        draft.rename(path)


def default_data() -> Path:
    """Finds where a stack keeps its data unless told: root's not in its home, where PostgreSQL could not be.

    Raises Misconfigured where a user has no home.
    """
    if os.geteuid() == 0:
        return HOME
    if shared := os.environ.get("XDG_DATA_HOME"):
        return Path(shared) / "docmill"
    try:
        return Path.home() / ".local" / "share" / "docmill"
    except RuntimeError as error:
        raise Misconfigured("this user has no home: name a folder with --data, or set DOCMILL_DATA") from error


def addresses_on(data: Path) -> Addresses:
    """Reads where the parts of the stack on ``data`` are. Raises Misconfigured where none runs."""
    ready = data / READY
    try:
        found = json.loads(ready.read_text(encoding="utf-8"))
        return Addresses(**found)
    except FileNotFoundError as error:
        raise Misconfigured(
            f"no docmill runs on {data}: start one with `docmill up`, name its folder with --data, "
            f"or set DOCMILL_DATABASE_URL and DOCMILL_BROKER_URL"
        ) from error
    except (OSError, TypeError, ValueError) as error:
        raise Misconfigured(f"{ready} cannot be read ({error}): start `docmill up` again") from error


def environment_of(settings: Settings, data: Path) -> dict[str, str]:
    """Makes the environment in which a program joins the stack on ``data``, whose settings these are."""
    urls = {f"DOCMILL_{name.upper()}": getattr(settings, name) for name in URLS}
    spool = settings.spool or data / "spool"
    return {**os.environ, **{name: url for name, url in urls.items() if url}, "DOCMILL_SPOOL": str(spool)}


def settings_of(data: Path | None) -> Settings:
    """The settings from the environment; what it leaves out, from the stack that runs on ``data``.

    Raises Misconfigured where neither says where the database is.
    """
    settings = load_settings()
    if settings.database_url is not None and settings.broker_url is not None:
        return settings
    folder = data or settings.data or default_data()
    found = addresses_on(folder)
    urls = {name: getattr(settings, name) or getattr(found, name) for name in URLS}
    key = settings.webhook_key or find_secret(folder, WEBHOOK_KEY)
    return load_settings(**urls, spool=settings.spool or folder / "spool", webhook_key=key)
