"""One line of changes a statement and day, so that a bulk load is as cheap to roll up as a call."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0041"
down_revision = "0050"


def upgrade() -> None:
    statements = (Path(__file__).parent / "0041_cost_changes.sql").read_text(encoding="utf-8")
    op.get_bind().connection.cursor().execute(statements)
