"""``python -m workers.health``: whether the fleet has seen this host's worker lately, for health checks.

Exit code 0 says so; else one line says what is wrong.
"""

from __future__ import annotations

import socket
import sys

from sqlalchemy.exc import SQLAlchemyError

from db.database import open_database
from db.fleet import seen
from docmill.errors import DocmillError
from docmill.settings import load_settings

SILENT_S = 60
"""An io worker reports every second, one with processes every ten."""


def seen_lately(database_url: str, host: str) -> bool:
    """Returns whether a worker of this host was seen lately. Raises ServiceAway."""
    with open_database(database_url, pool_size=1) as database:
        return any(name.endswith(f"@{host}") for name, _, _ in database.run(seen, within_s=SILENT_S))


def main() -> None:
    host = socket.gethostname()
    try:
        seen = seen_lately(load_settings().need("database_url"), host)
    except (DocmillError, SQLAlchemyError) as error:
        sys.exit(f"docmill: {error}")
    if not seen:
        sys.exit(f"docmill: no worker on {host} was seen for {SILENT_S} s")


if __name__ == "__main__":
    main()
