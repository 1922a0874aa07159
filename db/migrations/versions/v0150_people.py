"""Keys have a name, scopes, an end and a last use; a browser that showed one has a session.

Keys made before may do what every key could. Old code goes on writing the scope ``jobs``, which is read so, too.
"""

from __future__ import annotations

from alembic import op

revision = "0150"
down_revision = "0090"


def upgrade() -> None:
    op.execute("alter table api_keys add column name text not null default ''")
    op.execute("alter table api_keys add column expires_at timestamptz")
    op.execute("alter table api_keys add column used_at timestamptz")
    op.execute("update api_keys set scopes = '{submit,read,operate}' where scopes = '{jobs}'")
    op.execute("""
        create table sessions (
          hash bytea primary key, key_id text not null references api_keys on delete cascade,
          created_at timestamptz not null default clock_timestamp(), expires_at timestamptz not null
        )
    """)
