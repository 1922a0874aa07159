"""Whether a document is short, as it is told when it is submitted (docs/decisions/0218)."""

from __future__ import annotations

from alembic import op

revision = "0233"
down_revision = "0232"


def upgrade() -> None:
    # Of documents that are there already nobody asks: null, and so they take the way of long ones.
    op.execute("alter table documents add column short boolean")
