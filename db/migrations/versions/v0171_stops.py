"""A budget may be for a prompt: with a cap of 0 it stops it."""

from __future__ import annotations

from alembic import op

revision = "0171"
down_revision = "0181"


def upgrade() -> None:
    op.execute("alter table budgets drop constraint budgets_scope_check")
    op.execute(
        "alter table budgets add constraint budgets_scope_check"
        " check (scope in ('all', 'tenant', 'feature', 'user', 'prompt'))"
    )
