"""Vectors of questions, which are kept for a while."""

from __future__ import annotations

from alembic import op

revision = "0071"
down_revision = "0070"


def upgrade() -> None:
    op.execute("alter table embeddings add column question boolean not null default false")
    op.execute("create index embeddings_questions on embeddings (claimed_until) where question")
