"""Addresses without their secrets, for whatever is printed, logged or told in an error."""

from __future__ import annotations

import re

__all__ = ["HIDDEN", "redacted"]

HIDDEN = "***"

WEB = ("http", "https", "ws", "wss")
_ADDRESS = re.compile(r"[^\s\"'<>]+")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"([?&;])([\w.%-]{1,60})=[^\s&;#\"'<>]+")
_SECRET = re.compile(r"(?i)key|token|secret|passw|pwd|signature|credential|authorization|^(?:sig|auth|code)$")
_CONNINFO = re.compile(r"(?i)\b((?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*+'|[^\s'\"&;,)]+)")
"""As libpq's connection strings have it."""


def redacted(text: str) -> str:
    """The text with each password, and each parameter of an address that is named like a secret, hidden."""
    if "://" in text:
        text = _ADDRESS.sub(lambda found: _without_password(found[0]), text)
        text = _PARAMETER.sub(_without_secret, text)
    return _CONNINFO.sub(rf"\1{HIDDEN}", text) if "password" in text.lower() else text


def _without_password(written: str) -> str:
    kept: list[str] = []
    at = 0
    while (found := written.find("://", at)) >= 0:
        start = found + len("://")
        kept.append(written[at:start])
        is_web = written[max(at, found - 5) : found].lower().endswith(WEB)
        authority = _AUTHORITY.match(written, start) if is_web else None
        at = authority.end() if authority else len(written)
        kept.append(_web(written[start:at]) if is_web else _server(written[start:at]))
    kept.append(written[at:])
    return "".join(kept)


def _web(authority: str) -> str:
    """A user's name can be a token here, so nothing of it is shown."""
    _, at, host = authority.rpartition("@")
    return f"{HIDDEN}@{host}" if at else host


def _server(rest: str) -> str:
    """Passwords of servers are written as they are, also where they hold what an address should not."""
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{user}:{HIDDEN}@{host}" if at and colon and "/" not in user else rest


def _without_secret(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}={HIDDEN}" if _SECRET.search(found[2]) else found[0]
