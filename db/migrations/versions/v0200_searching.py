"""Jobs that have ended are found by what is said of them, and calls by when they ended."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0200"
down_revision = "0220"

FUNCTIONS = Path(__file__).parents[2] / "sql" / "functions.sql"


def upgrade() -> None:
    # Functions are put in after the migrations; this one is wanted now, for its index.
    functions = FUNCTIONS.read_text(encoding="utf-8")
    begin = functions.rindex("create", 0, functions.index("docmill_search_keys("))
    op.get_bind().exec_driver_sql(functions[begin : functions.index("$$;", begin) + 3])
    # Of ended jobs alone: a job on its way writes none of it, and one that ends writes it once.
    op.execute(
        "create index jobs_found on jobs using gin (docmill_search_keys(tenant, array['state ' || state,"
        " 'prompt ' || prompt, 'version ' || version, 'feature ' || feature, 'user ' || usr,"
        " 'run ' || run_id::text, 'cause ' || (failure ->> 'kind'), 'near ' || (id >> 14)::text], lower(path)))"
        " with (gin_pending_list_limit = 1024) where wait is null"
    )
    # Of versions that kept no path.
    op.execute(
        "update jobs set path = d.name from documents d"
        " where d.id = jobs.document_id and jobs.path is null and d.name is not null"
    )
    op.execute("drop index calls_started")
    op.execute("create index calls_started on calls using brin (started_at, finished_at)")
