"""What a job is held for, so that a model's room and its release wake that model's jobs and no others."""

from __future__ import annotations

from alembic import op

revision = "0050"
down_revision = "0040"


def upgrade() -> None:
    op.execute("alter table jobs add column held_for text")
    op.execute("create index jobs_held_for on jobs (held_for, lane, tenant, id) where wait = 'rate'")
