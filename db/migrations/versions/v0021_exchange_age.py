"""How old an exchange is, for its retention. Those from before count from now on."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0041"


def upgrade() -> None:
    # now() is stable, so that the column comes without a new copy of the table.
    op.execute("alter table exchanges add column at timestamptz not null default now()")
    op.execute("create index exchanges_at on exchanges using brin (at)")
