"""``python -m workers.health``: whether the fleet has seen this host's worker lately, for health checks.

Exit code 0 says so; else one line says what is wrong.
"""

from __future__ import annotations

import socket
import sys

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.engine import make_engine
from docmill.errors import DocmillError
from docmill.settings import load_settings

__all__ = ["seen_lately"]

SILENT_S = 60
"""An io worker reports every second, one with processes every ten."""


def seen_lately(database_url: str, host: str) -> bool:
    """Raises ServiceAway."""
    engine = make_engine(database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            return (
                connection.execute(
                    text(
                        "select 1 from workers where split_part(name, '@', 2) = :host"
                        " and seen_at > clock_timestamp() - make_interval(secs => :silent_s) limit 1"
                    ),
                    {"host": host, "silent_s": SILENT_S},
                ).first()
                is not None
            )
    finally:
        engine.dispose()


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
