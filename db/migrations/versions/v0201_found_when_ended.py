"""The index that ended jobs are searched by asks for ``state``: a job in hand changes ``wait`` all the time."""

from __future__ import annotations

from alembic import op

revision = "0201"
down_revision = "0200"


def upgrade() -> None:
    op.execute("drop index jobs_found")
    op.execute(
        "create index jobs_found on jobs using gin (docmill_search_keys(tenant, array['state ' || state,"
        " 'prompt ' || prompt, 'version ' || version, 'feature ' || feature, 'user ' || usr,"
        " 'run ' || run_id::text, 'cause ' || (failure ->> 'kind'), 'near ' || (id >> 14)::text], lower(path)))"
        " with (gin_pending_list_limit = 1024) where state in ('done', 'needs_review', 'failed', 'cancelled')"
    )
