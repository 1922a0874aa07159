"""The trace that a job belongs to: that of its submit, which says so by the setting ``docmill.traceparent``."""

from __future__ import annotations

from alembic import op

revision = "0182"
down_revision = "0171"


def upgrade() -> None:
    # Two steps: the default is for rows to come.
    op.execute("alter table jobs add column trace text")
    op.execute(
        "alter table jobs alter column trace"
        " set default left(nullif(current_setting('docmill.traceparent', true), ''), 55)"
    )
