"""Decisions about answers that wait for a person: who has claimed one, and what was decided, by whom and how."""

from __future__ import annotations

from alembic import op

revision = "0152"
down_revision = "0151"


def upgrade() -> None:
    op.execute("""
        create table reviews (
          id bigint generated always as identity primary key,
          job_id bigint not null references jobs on delete cascade,
          tenant text not null,
          claimed_by text not null, desk text not null,
          claimed_at timestamptz not null default clock_timestamp(), claimed_until timestamptz not null,
          decision text check (decision in ('accept', 'correct', 'reject')),
          author text, revision int, seconds double precision, note text not null default '',
          overruled jsonb not null default '[]', changed jsonb not null default '[]',
          doubt jsonb, epoch int, decided_at timestamptz, undone_at timestamptz
        )
    """)
    op.execute("create unique index reviews_open on reviews (job_id) where decision is null")
    op.execute("create index reviews_job on reviews (job_id)")
    op.execute("create index reviews_decided on reviews (tenant, decided_at desc) where decision is not null")
