"""The name and the path of each job, as submitted: two files with equal bytes are one document, and two jobs."""

from __future__ import annotations

from alembic import op

revision = "0090"
down_revision = "0080"


def upgrade() -> None:
    op.execute("alter table jobs add column name text")
    op.execute("alter table jobs add column path text")
