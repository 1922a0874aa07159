"""The first schema."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    statements = (Path(__file__).parent / "0001_schema.sql").read_text(encoding="utf-8")
    op.get_bind().connection.cursor().execute(statements)
