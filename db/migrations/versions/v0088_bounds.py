"""The bounds of a submit, kept by the SQL function itself; and no lane but those that run."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0088"
down_revision = "0071"


def upgrade() -> None:
    statements = (Path(__file__).parent / "v0088_bounds.sql").read_text(encoding="utf-8")
    op.get_bind().connection.cursor().execute(statements)
