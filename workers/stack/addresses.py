"""Where the parts of a running stack are: written by ``docmill up``, read by the other commands."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from docmill.errors import Misconfigured
from docmill.settings import Settings, load_settings

__all__ = ["READY", "Addresses", "default_data", "settings_of"]

READY = "ready.json"
"""In the data folder, while the stack is up."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """What runs, and where; None for what does not run."""

    database_url: str
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
    """Where a stack keeps its data unless told. As root not below its home, which Postgres could not enter."""
    if os.geteuid() == 0:
        return Path("/var/lib/docmill")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "docmill"


def settings_of(data: Path | None) -> Settings:
    """The settings from the environment; what it leaves out, from the stack that runs on ``data``.

    Raises Misconfigured where neither says where the database is.
    """
    settings = load_settings()
    ready = (data or settings.data or default_data()) / READY
    if settings.database_url is not None and settings.broker_url is not None:
        return settings
    try:
        found = json.loads(ready.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Misconfigured(
            f"no docmill runs on {ready.parent}: start one with `docmill up`, name its folder with --data, "
            f"or set DOCMILL_DATABASE_URL and DOCMILL_BROKER_URL"
        ) from error
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{ready} cannot be read ({error}): start `docmill up` again") from error
    names = ("database_url", "broker_url", "cache_url", "llm_url")
    return load_settings(**{name: getattr(settings, name) or found.get(name) for name in names})
