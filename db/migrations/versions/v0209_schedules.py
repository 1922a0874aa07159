"""A schedule is of a tenant, whose jobs its slots are."""

from __future__ import annotations

from alembic import op

revision = "0209"
down_revision = "0206"


def upgrade() -> None:
    op.execute("alter table schedules add column tenant text not null default 'default'")
