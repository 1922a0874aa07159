"""Collections, chunks that can be searched, and their vectors."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0070"
down_revision = "0051"


def upgrade() -> None:
    statements = (Path(__file__).parent / "v0070_retrieval.sql").read_text(encoding="utf-8")
    op.get_bind().connection.cursor().execute(statements)
