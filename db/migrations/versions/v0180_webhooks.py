"""Webhooks: who is told of what, and each delivery, which is written where its event happens."""

from __future__ import annotations

from alembic import op

revision = "0180"
down_revision = "0170"


def upgrade() -> None:
    op.execute("""
        create table webhooks (
          id bigint generated always as identity primary key,
          tenant text not null, name text not null default '', url text not null, events text[] not null,
          secret bytea not null, of_operator boolean not null default false,
          created_at timestamptz not null default clock_timestamp()
        )
    """)
    op.execute("create index webhooks_tenant on webhooks (tenant, id)")
    op.execute("""
        create table webhook_deliveries (
          id bigint generated always as identity primary key,
          webhook_id bigint not null references webhooks on delete cascade,
          message uuid not null default gen_random_uuid(),
          event text not null, payload jsonb not null,
          state text not null default 'waiting' check (state in ('waiting', 'delivered', 'failed')),
          tries int not null default 0, due_at timestamptz default clock_timestamp(),
          give_up_at timestamptz not null default clock_timestamp() + interval '1 day',
          created_at timestamptz not null default clock_timestamp(),
          delivered_at timestamptz, http_status int, failure text,
          check ((due_at is null) = (state <> 'waiting'))
        )
    """)
    op.execute(
        "create index webhook_deliveries_due on webhook_deliveries (webhook_id, due_at) where due_at is not null"
    )
    op.execute("create index webhook_deliveries_recent on webhook_deliveries (webhook_id, id desc)")
    op.execute(
        "create index webhook_deliveries_failed on webhook_deliveries (webhook_id, id desc) where state = 'failed'"
    )
    op.execute("create index webhook_deliveries_old on webhook_deliveries (created_at) where due_at is null")
    # Runs in which something ended, where somebody wants to know when all has.
    op.execute("create table webhook_runs (run_id bigint not null)")
