"""The user that PostgreSQL runs as where docmill is started by root: PostgreSQL refuses to be root.

What is said here is also read before anything is installed, so nothing but Python's own library is imported.
"""

from __future__ import annotations

import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HOME", "POSTGRES_USER", "Account", "find_account", "is_open"]

POSTGRES_USER = "docmill-postgres"
HOME = Path("/var/lib/docmill")
"""Where docmill keeps what root's stacks need and no closed folder can hold."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user that servers run as."""

    uid: int
    gid: int


def find_account() -> Account | None:
    """Finds PostgreSQL's user; None where there is none yet."""
    try:
        entry = pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        return None
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def is_open(path: Path, account: Account) -> bool:
    """Tells whether the account can enter a folder, or run a program: asked of the kernel, as that user."""
    command = ["test", "-x", str(path)]
    asked = subprocess.run(command, cwd="/", check=False, user=account.uid, group=account.gid, extra_groups=())
    return asked.returncode == 0
