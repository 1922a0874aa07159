"""What keeps a worker's upkeep from being whole."""

from __future__ import annotations

from alembic import op

revision = "0080"
down_revision = "0085"


def upgrade() -> None:
    op.execute("alter table workers add column troubles jsonb not null default '{}'")
