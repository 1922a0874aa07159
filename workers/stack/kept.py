"""Secrets that a stack makes for itself, once, and keeps where only the owner of its data can read them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from docmill.net.sealing import new_key
from docmill.settings import Settings

__all__ = ["FLOWER_PASSWORD", "WEBHOOK_KEY", "find_secret", "flower_password", "webhook_key"]

FLOWER_PASSWORD = "flower-password"  # noqa: S105 - the name of a file
WEBHOOK_KEY = "webhook-key"
"""Files in the data folder."""


def flower_password(settings: Settings, data: Path) -> str:
    """Returns the settings' own, or one that the stack keeps."""
    given = settings.flower_password
    if given is not None:
        return given.get_secret_value()
    return keep_secret(data, FLOWER_PASSWORD, lambda: secrets.token_urlsafe(12))


def webhook_key(settings: Settings, data: Path) -> str:
    """Returns what seals the secrets of webhooks: the settings' own, or one that the stack keeps."""
    given = settings.webhook_key
    return keep_secret(data, WEBHOOK_KEY, new_key) if given is None else given.get_secret_value()


def keep_secret(data: Path, name: str, make: Callable[[], str]) -> str:
    """Reads the secret, which is made where there is none yet."""
    found = find_secret(data, name)
    if found is not None:
        return found
    made = make()
    with os.fdopen(os.open(data / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made)
    return made


def find_secret(data: Path, name: str) -> str | None:
    """Reads the secret; None where no stack has made one here."""
    path = data / name
    return path.read_text(encoding="utf-8") if path.exists() else None
