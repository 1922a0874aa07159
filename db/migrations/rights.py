"""The application's role: it reads and writes docmill's tables, and can change nothing about them.

What changes tables (migrations, indexes of vectors) goes through the owner's connection. Where both addresses name
the same role there is one role, which owns what it works with.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ProgrammingError

from docmill.errors import Misconfigured

__all__ = ["TABLES", "grant"]

TABLES = (
    "api_keys",
    "budgets",
    "calls",
    "chunks",
    "collection_documents",
    "collections",
    "costs_changes",
    "costs_daily",
    "costs_of_users",
    "costs_without_users",
    "costs_zone",
    "documents",
    "drives",
    "embedding_models",
    "embeddings",
    "exchanges",
    "flights",
    "forecasts",
    "jobs",
    "metric_minutes",
    "metric_totals",
    "metric_until",
    "model_state",
    "results",
    "reviews",
    "scanned_pages",
    "runs",
    "schedules",
    "sessions",
    "slots",
    "terms",
    "vectors",
    "webhook_deliveries",
    "webhook_runs",
    "webhooks",
    "workers",
)
"""What docmill has in its schema: other applications may have tables beside, and those are not granted."""


def grant(owner: Connection, application_url: str) -> None:
    """Gives the role that ``application_url`` names its rights, and makes it where it is missing.

    Nothing is done where that role is the owner itself, or the address names none. Raises Misconfigured where the
    role is missing and the owner may not make one.
    """
    url = make_url(application_url)
    if url.username is None or url.username == owner.execute(text("select current_user")).scalar():
        return
    role = sql.Identifier(url.username)
    known = owner.execute(text("select from pg_roles where rolname = :name"), {"name": url.username}).first()
    if known is None:
        _make(owner, role, str(url.password) if url.password else None)
    _run(owner, "grant usage on schema public to {}", role)
    for table in TABLES:
        _run(owner, "grant select, insert, update, delete on {1} to {0}", role, sql.Identifier(table))
    _run(owner, "grant select on alembic_version to {}", role)


def _make(owner: Connection, role: sql.Identifier, password: str | None) -> None:
    try:
        with owner.begin_nested():
            if password is None:
                _run(owner, "create role {} login", role)
            else:
                _run(owner, "create role {} login password {}", role, sql.Literal(password))
    except ProgrammingError as error:
        raise Misconfigured(
            f"the database has no role {role.as_string()}, which DOCMILL_DATABASE_URL names, and its owner may not"
            f" make it: have it made (`create role {role.as_string()} login password '…'`)"
        ) from error


def _run(owner: Connection, statement: LiteralString, *parts: sql.Composable) -> None:
    """Executes a statement whose parts (names, a password) cannot be values of it."""
    owner.exec_driver_sql(sql.SQL(statement).format(*parts).as_string())
