"""What an io worker cannot do: the prompts whose models it cannot ask, and why."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0042"


def upgrade() -> None:
    op.execute("alter table workers add column unready jsonb not null default '{}'")
