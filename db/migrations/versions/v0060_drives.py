"""When a job that was driven again had to be looked at: how late recovery was can be read from the drives."""

from __future__ import annotations

from alembic import op

revision = "0060"
down_revision = "0021"


def upgrade() -> None:
    op.execute("alter table drives add column due_at timestamptz")
