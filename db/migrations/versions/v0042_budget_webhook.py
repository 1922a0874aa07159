"""When the webhook is told again of a budget, if it did not take it."""

from __future__ import annotations

from alembic import op

revision = "0042"
down_revision = "0060"


def upgrade() -> None:
    op.execute("alter table budgets add column tell_at timestamptz not null default clock_timestamp()")
