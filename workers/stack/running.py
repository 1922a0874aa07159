"""A stack that runs already: what is up in it, and how it is stopped from outside."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from docmill.errors import Misconfigured, ServiceAway
from workers.stack.addresses import Addresses
from workers.stack.lock import holder

__all__ = ["Part", "parts", "stop"]

ASK_EVERY_S = 0.1
PATIENCE_S = 1020.0
"""A worker ends the calls that it has begun, which may take the longest call deadline there is."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One program of a stack."""

    name: str
    pid: int
    running: bool
    address: str | None


def parts(addresses: Addresses) -> list[Part]:
    """Lists the programs that ``docmill up`` started, and which of them run now."""
    where: Mapping[str, str | None] = {
        "postgres": addresses.database_url,
        "broker": addresses.broker_url,
        "cache": addresses.cache_url,
        "simulator": addresses.simulator,
        "api": addresses.api,
        "flower": addresses.flower,
    }
    return [
        Part(name=name, pid=pid, running=_runs(pid), address=where.get(name))
        for name, pid in addresses.pids.items()
    ]


def stop(data: Path) -> bool:
    """Stops the stack that runs on the data folder, and waits for its end; False where none runs.

    Raises Misconfigured where it is another user's, ServiceAway where it does not end.
    """
    pid = holder(data)
    if pid is None:
        return False
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError as error:
        raise Misconfigured(f"process {pid} on {data} is another user's: stop it as that user") from error
    give_up_at = time.monotonic() + PATIENCE_S
    while holder(data) == pid:
        if time.monotonic() > give_up_at:
            raise ServiceAway(f"process {pid} on {data} does not end: its logs in {data / 'logs'} say why")
        time.sleep(ASK_EVERY_S)
    return True


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's, and there
        return True
    return True
