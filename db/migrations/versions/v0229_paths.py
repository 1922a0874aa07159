"""Jobs that old code submitted without a path have their document's name, by which they are searched."""

from __future__ import annotations

from alembic import op

revision = "0229"
down_revision = "0201"


def upgrade() -> None:
    # Workers of the version before wrote such jobs after 0200 had run, and so did what indexes documents again.
    op.execute(
        "update jobs set path = d.name from documents d"
        " where d.id = jobs.document_id and jobs.path is null and d.name is not null"
    )
