"""No job waits for a batch: nothing ever made one wait so."""

from __future__ import annotations

from alembic import op

revision = "0190"
down_revision = "0182"


def upgrade() -> None:
    op.execute("alter table jobs drop constraint jobs_wait_check")
    op.execute(
        "alter table jobs add constraint jobs_wait_check check"
        " (wait in ('unsent', 'sent', 'running', 'countdown', 'rate', 'budget', 'flight'))"
    )
