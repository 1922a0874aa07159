"""Runs: documents that were submitted together; and what an application says of its own jobs."""

from __future__ import annotations

from alembic import op

revision = "0110"
down_revision = "0120"


def upgrade() -> None:
    op.execute(
        """
        create table runs (
          id         bigint generated always as identity primary key,
          tenant     text not null,
          name       text not null,
          cause      text not null check (cause in ('submit', 'api', 'schedule')),
          submit     jsonb not null default '{}',
          metadata   jsonb not null default '{}',
          expected   int,
          idem_key   text,
          created_at timestamptz not null default clock_timestamp(),
          closed_at  timestamptz
        )
        """
    )
    op.execute("create index runs_recent on runs (tenant, id desc)")
    # The same files again, after a submit that came to no end, go on with the run that it began.
    op.execute(
        "create unique index runs_open on runs (tenant, idem_key) where closed_at is null and idem_key is not null"
    )
    op.execute("alter table jobs add column run_id bigint references runs")
    op.execute("alter table jobs add column metadata jsonb not null default '{}'")
    op.execute("create index jobs_of_run on jobs (run_id, state, id) where run_id is not null")
