"""Where the words of a document stand on its pages, and what reading it left out or only guessed."""

from __future__ import annotations

from alembic import op

revision = "0120"
down_revision = "0130"


def upgrade() -> None:
    op.execute("alter table documents add column layout bytea")
    op.execute("alter table documents add column warnings jsonb")
    # Pages, counted from 0, that OCR has still to read.
    op.execute("alter table documents add column scans jsonb")
    # It is compressed already.
    op.execute("alter table documents alter column layout set storage external")
