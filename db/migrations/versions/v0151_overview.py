"""Indexes for what is looked at first: ends of the last hour, answers that wait for a person, jobs that are held.

Each holds only the rows that it is for, so that a job on its way writes none of them.
"""

from __future__ import annotations

from alembic import op

revision = "0151"
down_revision = "0140"


def upgrade() -> None:
    op.execute("create index jobs_ends on jobs (tenant, finished_at) include (state) where wait is null")
    op.execute("create index jobs_reviews on jobs (tenant, finished_at, id) where state = 'needs_review'")
    op.execute("create index jobs_failed on jobs (tenant, id desc) where state = 'failed'")
    op.execute("create index jobs_held on jobs (tenant, held_for, budget_id) where state = 'held'")
