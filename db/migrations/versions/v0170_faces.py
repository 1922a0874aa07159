"""An index for the jobs that a document had: of ended ones alone, so that a job on its way writes none of it."""

from __future__ import annotations

from alembic import op

revision = "0170"
down_revision = "0121"


def upgrade() -> None:
    op.execute("create index jobs_document on jobs (document_id, id) where wait is null")
