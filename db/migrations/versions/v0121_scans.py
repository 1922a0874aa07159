"""Pages that OCR reads, one row each: read once a tenant and content, whatever dies in between."""

from __future__ import annotations

from alembic import op

revision = "0121"
down_revision = "0152"


def upgrade() -> None:
    op.execute(
        """
        create table scanned_pages (
          document_id bigint not null references documents on delete cascade,
          page int not null,
          claimed_until timestamptz not null,
          text text,
          layout bytea,
          failure text,
          took_s float,
          primary key (document_id, page),
          check (text is null or failure is null)
        )
        """
    )
    op.execute("create index jobs_scans on jobs (lane, tenant, id) where wait = 'unsent' and stage = 'ocr'")
