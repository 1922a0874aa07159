"""The content of a prompt that a job is pinned to, and where that was looked for in vain."""

from __future__ import annotations

from alembic import op

revision = "0100"
down_revision = "0110"


def upgrade() -> None:
    op.execute("alter table jobs add column content_hash bytea")
    op.execute("alter table jobs add column missing jsonb")
