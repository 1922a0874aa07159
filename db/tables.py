"""The tables, for what is put together where it is asked: reports, lists and filters.

The migrations make them (``db/migrations``); a test compares. Columns are as in SQL, but ``null`` says that one
may be, and nothing that it may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy
from pgvector.sqlalchemy import HALFVEC, SPARSEVEC
from sqlalchemy import ARRAY, Column, ColumnElement, MetaData, Numeric, Table, Text, any_, literal
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

METADATA = MetaData()
TYPES: dict[str, Any] = {
    "bigint": sqlalchemy.BigInteger,
    "bigint[]": ARRAY(sqlalchemy.BigInteger),
    "boolean": sqlalchemy.Boolean,
    "bytea": sqlalchemy.LargeBinary,
    "date": sqlalchemy.Date,
    "float": sqlalchemy.Double,
    "halfvec": HALFVEC,
    "int": sqlalchemy.Integer,
    "int[]": ARRAY(sqlalchemy.Integer),
    "jsonb": JSONB,
    "numeric": Numeric,
    "numeric(20,10)": Numeric(20, 10),
    "smallint": sqlalchemy.SmallInteger,
    "sparsevec": SPARSEVEC,
    "text": Text,
    "text[]": ARRAY(Text),
    "timestamptz": TIMESTAMP(timezone=True),
    "uuid": sqlalchemy.Uuid,
}


def one_of(column: ColumnElement[Any], values: Iterable[Any]) -> ColumnElement[bool]:
    """Whether the column is one of the values, which travel as one array: they may be a hundred thousand."""
    return column == any_(literal(list(values), ARRAY(column.type)))


def _table(name: str, columns: str) -> Table:
    """Declares a table."""
    parts = [column.split() for column in re.split(r",\s", columns)]
    made = [Column(column, TYPES[kind], nullable=bool(null)) for column, kind, *null in parts]
    return Table(name, METADATA, *made)


# What was submitted, kept once a tenant by its content's hash; what was read of it is written by validate.
documents = _table(
    "documents",
    """
    id bigint, tenant text, sha256 bytea, media_type text, created_at timestamptz, name text null, body bytea null,
    text text null, pages jsonb null, layout bytea null, warnings jsonb null, scans jsonb null, short boolean null
    """,
)
# One document, or question, through one prompt version; db/transitions.py changes it.
jobs = _table(
    "jobs",
    """
    id bigint, tenant text, feature text, usr text, lane text, chain text, params jsonb, state text, stage text,
    epoch int, attempt int, purpose text, history jsonb, wake_at timestamptz, fresh boolean, crashes int,
    redrives int, created_at timestamptz, document_id bigint null, collection text null, prompt text null,
    version text null, idem_key text null, input_hash bytea null, model text null, wait text null,
    flight_key bytea null, budget_id bigint null, deadline_at timestamptz null, owner text null,
    context jsonb null, value jsonb null, failure jsonb null, finished_at timestamptz null,
    need_usd numeric(20,10) null, held_for text null, since timestamptz null,
    name text null, path text null, run_id bigint null, metadata jsonb,
    content_hash bytea null, missing jsonb null, trace text null,
    afresh_of bigint null, turn text, held_until timestamptz
    """,
)
# Documents that were submitted together; one that is closed takes no more.
runs = _table(
    "runs",
    """
    id bigint, tenant text, name text, cause text, submit jsonb, metadata jsonb, created_at timestamptz,
    expected int null, idem_key text null, closed_at timestamptz null
    """,
)
# The ledger: one row a request to a provider, also when it failed or was answered without one.
calls = _table(
    "calls",
    """
    id uuid, purpose text, attempt int, try int, state text, tenant text, feature text, usr text, input_hash bytea,
    provider text, account text, model text, budgets bigint[], possibly_billed boolean, started_at timestamptz,
    job_id bigint null, prompt text null, version text null, content_hash bytea null, model_echoed text null,
    input_tokens int null, cached_tokens int null, output_tokens int null, reasoning_tokens int null,
    cost_usd numeric(20,10) null, saved_usd numeric(20,10) null, price_source text null,
    reserved_usd numeric(20,10) null, cache_layer text null, remedy text null, failure_kind text null,
    http_status int null, request_id text null, lease_until timestamptz null, latency_ms int null,
    finished_at timestamptz null, wasted text null, owner text null, part int
    """,
)
# What was said to a model and by it, apart from the ledger, so that it can be erased.
exchanges = _table("exchanges", "call_id uuid, request jsonb, at timestamptz, reply jsonb null")
# Work that several jobs want at once; `job_id` leads it.
flights = _table("flights", "key bytea, job_id bigint")
# Revisions of what was found; they never change.
results = _table(
    "results", "job_id bigint, revision int, value jsonb, author text, created_at timestamptz, evidence jsonb null"
)
# Claims of answers that wait for a person, and what was decided.
reviews = _table(
    "reviews",
    """
    id bigint, job_id bigint, tenant text, claimed_by text, desk text, claimed_at timestamptz,
    claimed_until timestamptz, decision text null, author text null, revision int null, seconds float null,
    note text, overruled jsonb, changed jsonb, doubt jsonb null, epoch int null, decided_at timestamptz null,
    undone_at timestamptz null
    """,
)
# Who is told of events, and each delivery, which a trigger writes where its event happens.
webhooks = _table(
    "webhooks",
    """
    id bigint, tenant text, name text, url text, events text[], secret bytea, of_operator boolean,
    created_at timestamptz
    """,
)
webhook_deliveries = _table(
    "webhook_deliveries",
    """
    id bigint, webhook_id bigint, message uuid, event text, payload jsonb, state text, tries int,
    due_at timestamptz null, give_up_at timestamptz, created_at timestamptz, delivered_at timestamptz null,
    http_status int null, failure text null
    """,
)
# Runs in which something ended, for who wants to know when all has.
webhook_runs = _table("webhook_runs", "run_id bigint")
# Figures for Prometheus: of each minute lately, of all before, and until when they are known.
metric_minutes = _table("metric_minutes", "minute timestamptz, metric text, labels text[], value float")
metric_totals = _table("metric_totals", "metric text, labels text[], value float")
metric_until = _table("metric_until", "one boolean, until timestamptz")
# Publications of a job's chain, one an epoch.
drives = _table(
    "drives", "job_id bigint, epoch int, stage text, cause text, at timestamptz, due_at timestamptz null"
)
# Windows of budgets; `series` is the id of a budget's first one.
budgets = _table(
    "budgets",
    """
    id bigint, scope text, subject text, span text, policy text, cap_usd numeric(20,10), window_start timestamptz,
    reserved_usd numeric(20,10), spent_usd numeric(20,10), warned int, told int, tell_at timestamptz,
    series bigint null
    """,
)
# Pages that OCR reads, each by itself.
scanned_pages = _table(
    "scanned_pages",
    """
    document_id bigint, page int, claimed_until timestamptz, text text null, layout bytea null, failure text null,
    took_s float null
    """,
)
# What the fleet has learned of a model of an account.
model_state = _table(
    "model_state", "account text, model text, learned jsonb, hold_until timestamptz null, hold_cause text null"
)
# When to submit what, and the slots that were run.
schedules = _table(
    "schedules",
    """
    name text, cron text, time_zone text, submit jsonb, paused boolean, catch_up text, next_at timestamptz,
    tenant text
    """,
)
slots = _table("slots", "name text, slot timestamptz, at timestamptz, jobs int, failure text null")
# Who was seen when, with how many slots.
workers = _table(
    "workers", "name text, queue text, slots int, seen_at timestamptz, unready jsonb, process text null"
)
api_keys = _table(
    "api_keys",
    """
    id text, hash bytea, tenant text, name text, scopes text[], created_at timestamptz,
    expires_at timestamptz null, used_at timestamptz null, revoked_at timestamptz null
    """,
)
# Browsers that showed a key, by the hash of what they show since.
sessions = _table("sessions", "hash bytea, key_id text, created_at timestamptz, expires_at timestamptz")
# Passages of a collection's documents, with the words that they are found by.
chunks = _table(
    "chunks",
    """
    id bigint, tenant text, collection text, document_id bigint, position int, start_at int, end_at int,
    sha256 bytea, text text, meta jsonb, collection_id int null, language text null, keys int[] null,
    terms sparsevec null
    """,
)
# Vectors by the hash of their text; without `v` a claim of the call that asks for it.
embeddings = _table(
    "embeddings",
    """
    model text, sha256 bytea, claimed_until timestamptz, question boolean, v halfvec null, call_id uuid null
    """,
)
# The ledger's roll-up.
costs_daily = _table(
    "costs_daily",
    """
    day date, tenant text, feature text, usr text, model text, prompt text, version text, remedy text,
    calls bigint, cached bigint, failed bigint, unpriced bigint, possibly_billed bigint, input_tokens bigint,
    cached_tokens bigint, output_tokens bigint, cost_usd numeric, saved_usd numeric, surplus_usd numeric,
    rejected_usd numeric, failed_usd numeric, accepted bigint, wasted_usd numeric null
    """,
)
# The same without users, and by feature and user alone; triggers write them.
costs_without_users = _table(
    "costs_without_users",
    """
    tenant text, day date, feature text, model text, prompt text, version text, remedy text,
    calls bigint, cached bigint, failed bigint, unpriced bigint, possibly_billed bigint, input_tokens bigint,
    cached_tokens bigint, output_tokens bigint, accepted bigint, cost_usd numeric, saved_usd numeric,
    surplus_usd numeric, rejected_usd numeric, failed_usd numeric
    """,
)
costs_of_users = _table(
    "costs_of_users",
    """
    tenant text, day date, feature text, usr text,
    calls bigint, cached bigint, failed bigint, unpriced bigint, possibly_billed bigint, input_tokens bigint,
    cached_tokens bigint, output_tokens bigint, accepted bigint, cost_usd numeric, saved_usd numeric,
    surplus_usd numeric, rejected_usd numeric, failed_usd numeric
    """,
)
# What is not rolled up yet; triggers write it.
costs_changes = _table(
    "costs_changes",
    """
    started_at timestamptz, tenant text, feature text, usr text, model text, prompt text, version text,
    remedy text, calls bigint, cached bigint, failed bigint, unpriced bigint, possibly_billed bigint,
    input_tokens bigint, cached_tokens bigint, output_tokens bigint, cost_usd numeric, saved_usd numeric,
    surplus_usd numeric, rejected_usd numeric, failed_usd numeric, accepted bigint
    """,
)
# Where the days of the roll-up begin.
costs_zone = _table("costs_zone", "one boolean, timezone text")
forecasts = _table(
    "forecasts",
    """
    id bigint, made_at timestamptz, load jsonb, formula text, day_p50_usd numeric, day_p95_usd numeric,
    month_p50_usd numeric, month_p95_usd numeric
    """,
)
# Sets of documents that are searched together.
collections = _table(
    "collections",
    """
    id int, tenant text, name text, model text, languages text[], chunks int, changed_at timestamptz,
    next_model text null, counted_at timestamptz null
    """,
)
collection_documents = _table(
    "collection_documents",
    """
    collection_id int, document_id bigint, language text, meta jsonb, models text[], indexed_at timestamptz
    """,
)
# In how many chunks of a collection a word occurs, as of its last count.
terms = _table("terms", "key int, chunks int, collection_id int")
embedding_models = _table("embedding_models", "id smallint, name text, dimensions int")
# What a search reads of a chunk, once for each model.
vectors = _table("vectors", "chunk_id bigint, model_id smallint, collection_id int, meta jsonb, v halfvec")
