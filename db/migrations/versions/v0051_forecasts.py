"""Forecasts are kept, so that they can be held against what was spent."""

from __future__ import annotations

from alembic import op

revision = "0051"
down_revision = "0035"


def upgrade() -> None:
    op.execute(
        """
        create table forecasts (
          id            bigint generated always as identity primary key,
          made_at       timestamptz not null default clock_timestamp(),
          load          jsonb not null,
          formula       text not null,
          day_p50_usd   numeric not null,
          day_p95_usd   numeric not null,
          month_p50_usd numeric not null,
          month_p95_usd numeric not null
        )
        """
    )
