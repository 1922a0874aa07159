"""A slot that could not submit all it should tells why."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0001"


def upgrade() -> None:
    op.execute("alter table slots add column failure text")
