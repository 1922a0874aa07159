"""Which job was asked once more by which new one."""

from __future__ import annotations

from alembic import op

revision = "0206"
down_revision = "0205"


def upgrade() -> None:
    op.execute("alter table jobs add column afresh_of bigint")
    op.execute("create index jobs_afresh on jobs (afresh_of) where afresh_of is not null")
