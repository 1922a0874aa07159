"""Since when a job is sent or runs; and what waits for quarantine, apart from what waits for its first turn."""

from __future__ import annotations

from alembic import op

revision = "0085"
down_revision = "0088"


def upgrade() -> None:
    op.execute("alter table jobs add column since timestamptz")
    op.execute(
        "create index jobs_new on jobs (lane, tenant, id)"
        " where wait = 'unsent' and stage = 'validate' and crashes < 2"
    )
    op.execute("create index jobs_apart on jobs (lane, tenant, id) where wait = 'unsent' and crashes >= 2")
