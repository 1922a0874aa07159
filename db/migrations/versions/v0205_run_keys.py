"""A run that was closed is found by the key of the request that began it."""

from __future__ import annotations

from alembic import op

revision = "0205"
down_revision = "0190"


def upgrade() -> None:
    op.execute(
        "create index runs_closed on runs (tenant, idem_key) where closed_at is not null and idem_key is not null"
    )
