"""Budgets that hold jobs and warn; costs rolled up by triggers, so that a changed call changes the sums."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0040"
down_revision = "0020"


def upgrade() -> None:
    statements = (Path(__file__).parent / "0040_money.sql").read_text(encoding="utf-8")
    op.get_bind().connection.cursor().execute(statements)
