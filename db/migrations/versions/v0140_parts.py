"""Calls about parts of a document: one open and one answered call a job, attempt and part; 0 is the whole."""

from __future__ import annotations

from alembic import op

revision = "0140"
down_revision = "0100"


def upgrade() -> None:
    op.execute("alter table calls add column part int not null default 0")
    op.execute("alter table calls drop constraint calls_job_id_purpose_attempt_try_key")
    op.execute("create unique index calls_tries on calls (job_id, purpose, attempt, part, try)")
    op.execute("drop index calls_answered")
    op.execute(
        "create unique index calls_answered on calls (job_id, attempt, part)"
        " where state = 'answered' and purpose <> 'embed'"
    )
    op.execute("drop index calls_one_open")
    op.execute(
        "create unique index calls_one_open on calls (job_id, part) where state = 'intent' and purpose <> 'embed'"
    )
