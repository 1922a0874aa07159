"""Figures for Prometheus: counted by minute from what has ended, and added up."""

from __future__ import annotations

from alembic import op

revision = "0181"
down_revision = "0180"


def upgrade() -> None:
    for name, first in (("metric_minutes", "minute timestamptz not null, "), ("metric_totals", "")):
        op.execute(
            f"create table {name} ({first}metric text not null, labels text[] not null,"
            f" value double precision not null, primary key ({first and 'minute, '}metric, labels))"
        )
    op.execute(
        "create table metric_until (one boolean primary key default true check (one), until timestamptz not null)"
    )
