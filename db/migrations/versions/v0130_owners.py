"""Whose call it is, and which process a worker is: of one that is known to be gone, nothing has to run out."""

from __future__ import annotations

from alembic import op

revision = "0130"
down_revision = "0150"


def upgrade() -> None:
    op.execute("alter table calls add column owner text")
    op.execute("alter table workers add column process text")
