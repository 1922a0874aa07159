"""How many of a run's jobs were asked afresh: those are none of the documents that it expects."""

from __future__ import annotations

from alembic import op

revision = "0231"
down_revision = "0229"


def upgrade() -> None:
    # Neither column of a job ever changes, and few jobs are asked afresh.
    op.execute("create index jobs_afresh_of_run on jobs (run_id) where afresh_of is not null")
