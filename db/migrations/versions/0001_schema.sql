create extension if not exists vector;

create table documents (
  id          bigint generated always as identity primary key,
  tenant      text not null,
  sha256      bytea not null,
  name        text,
  media_type  text not null,
  body        bytea,
  text        text,
  pages       jsonb,
  created_at  timestamptz not null default clock_timestamp(),
  unique (tenant, sha256)
);

create table jobs (
  id          bigint generated always as identity primary key,
  tenant      text not null,
  feature     text not null,
  usr         text not null default '',
  lane        text not null default 'bulk' check (lane in ('interactive', 'bulk', 'batch')),
  chain       text not null default 'document' check (chain in ('document', 'index')),
  document_id bigint references documents on delete set null,
  collection  text,
  prompt      text,
  version     text,
  idem_key    text,
  input_hash  bytea,
  params      jsonb not null default '{}',
  state       text not null default 'queued'
              check (state in ('queued', 'running', 'held', 'done', 'needs_review', 'failed', 'cancelled')),
  stage       text not null default 'validate',
  epoch       int not null default 0,
  attempt     int not null default 0,
  purpose     text not null default 'first'
              check (purpose in ('first', 'correction', 'json_mode', 'overflow', 'truncation', 'escalation')),
  model       text,
  history     jsonb not null default '[]',
  wait        text default 'unsent'
              check (wait in ('unsent', 'sent', 'running', 'countdown', 'rate', 'budget', 'flight', 'batch')),
  wake_at     timestamptz not null default clock_timestamp(),
  flight_key  bytea,
  fresh       boolean not null default false,  -- pays again: no cache, no flight
  budget_id   bigint,
  deadline_at timestamptz,
  crashes     int not null default 0,
  redrives    int not null default 0,
  owner       text,
  context     jsonb,
  value       jsonb,
  failure     jsonb,
  created_at  timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  unique (tenant, idem_key),
  check ((wait is null) = (state in ('done', 'needs_review', 'failed', 'cancelled')))
) with (fillfactor = 70);

create index jobs_unsent on jobs (lane, tenant, id) where wait = 'unsent';
create index jobs_unsent_again on jobs (lane, tenant, id) where wait = 'unsent' and stage <> 'validate';
create index jobs_wake   on jobs (wake_at) where wait is not null and wait <> 'unsent';
create index jobs_flight on jobs (flight_key) where flight_key is not null;
create index jobs_budget on jobs (budget_id, id) where wait = 'budget';
create index jobs_out on jobs (stage) where wait in ('sent', 'running', 'countdown');
create index jobs_deadline on jobs (deadline_at) where wait is not null and deadline_at is not null;
create index jobs_recent on jobs (tenant, id desc);

create table calls (
  id              uuid primary key,
  job_id          bigint references jobs,
  purpose         text not null,
  attempt         int not null,
  try             int not null,
  state           text not null check (state in ('intent', 'answered', 'surplus', 'failed', 'in_doubt', 'cached')),
  tenant          text not null,
  feature         text not null,
  usr             text not null,
  prompt          text,
  version         text,
  content_hash    bytea,
  input_hash      bytea not null,
  provider        text not null,
  account         text not null,
  model           text not null,
  model_echoed    text,
  input_tokens    int,
  cached_tokens   int,
  output_tokens   int,
  reasoning_tokens int,
  cost_usd        numeric(20, 10),
  saved_usd       numeric(20, 10),
  price_source    text,
  reserved_usd    numeric(20, 10),
  budgets         bigint[] not null default '{}',
  cache_layer     text check (cache_layer in ('l1', 'l2', 'flight')),
  remedy          text,
  failure_kind    text,
  http_status     int,
  request_id      text,
  possibly_billed boolean not null default false,
  lease_until     timestamptz,
  latency_ms      int,
  started_at      timestamptz not null default clock_timestamp(),
  finished_at     timestamptz,
  unique (job_id, purpose, attempt, try)
) with (fillfactor = 80);

create unique index calls_answered on calls (job_id, attempt) where state = 'answered' and purpose <> 'embed';
create unique index calls_one_open on calls (job_id) where state = 'intent' and purpose <> 'embed';
create index calls_open on calls (lease_until) where state = 'intent';
create index calls_started on calls using brin (started_at);

create table exchanges (
  call_id uuid primary key references calls on delete cascade,
  request jsonb not null,
  reply   jsonb
);

create table flights (
  key    bytea primary key,
  job_id bigint not null references jobs
);
create index flights_leader on flights (job_id);

create table results (
  job_id     bigint not null references jobs,
  revision   int not null,
  value      jsonb not null,
  evidence   jsonb,
  author     text not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (job_id, revision)
);

create table drives (
  job_id bigint not null references jobs,
  epoch  int not null,
  stage  text not null,
  cause  text not null,
  at     timestamptz not null default clock_timestamp(),
  primary key (job_id, epoch)
);

create table budgets (
  id           bigint generated always as identity primary key,
  scope        text not null check (scope in ('all', 'tenant', 'feature', 'user')),
  subject      text not null default '',
  span         text not null check (span in ('day', 'month', 'total')),
  policy       text not null check (policy in ('hold', 'fail', 'cheaper')),
  cap_usd      numeric(20, 10) not null check (cap_usd >= 0),
  window_start timestamptz not null,
  reserved_usd numeric(20, 10) not null default 0,
  spent_usd    numeric(20, 10) not null default 0,
  unique (scope, subject, span, window_start)
);

create table costs_daily (
  day date not null, tenant text not null, feature text not null, usr text not null,
  model text not null, prompt text not null, version text not null, remedy text not null,
  calls bigint not null, cached bigint not null, failed bigint not null, unpriced bigint not null,
  input_tokens bigint not null, cached_tokens bigint not null, output_tokens bigint not null,
  cost_usd numeric(20, 10) not null, saved_usd numeric(20, 10) not null, wasted_usd numeric(20, 10) not null,
  accepted bigint not null,
  primary key (day, tenant, feature, usr, model, prompt, version, remedy)
);

create table model_state (
  account text not null, model text not null,
  hold_until timestamptz, hold_cause text,
  learned jsonb not null default '{}',
  primary key (account, model)
);

create table schedules (
  name text primary key, cron text not null, time_zone text not null, submit jsonb not null,
  paused boolean not null default false,
  catch_up text not null default 'last' check (catch_up in ('all', 'last', 'none')), next_at timestamptz not null
);
create table slots (
  name text not null references schedules on delete cascade, slot timestamptz not null,
  at timestamptz not null default clock_timestamp(), jobs int not null default 0,
  primary key (name, slot)
);

create table workers (
  name text primary key, queue text not null, slots int not null, seen_at timestamptz not null
);
create table api_keys (
  id text primary key, hash bytea not null, tenant text not null, scopes text[] not null,
  created_at timestamptz not null default clock_timestamp(), revoked_at timestamptz
);

create table chunks (
  id bigint generated always as identity primary key,
  tenant text not null, collection text not null, document_id bigint not null references documents on delete cascade,
  position int not null, start_at int not null, end_at int not null,
  sha256 bytea not null, text text not null, meta jsonb not null default '{}',
  words tsvector, unique (collection, document_id, position)
);
create table embeddings (
  model text not null, sha256 bytea not null, v halfvec not null, primary key (model, sha256)
);

-- Submitting is a function of the schema, so that any application that shares the database can enqueue inside
-- its own transaction, in any language. A job exists if and only if the caller commits; the table of prompts
-- that workers know lies in files, so an unknown prompt is found by the validate stage.
create function docmill_submit_file(
  prompt text, body bytea, media_type text, name text, version text, tenant text, feature text, usr text,
  lane text, deadline_at timestamptz, idem_key text, params jsonb
) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
  -- Parameters by position: their names are those of columns.
  digest bytea := sha256($2);
  what   bytea := sha256(convert_to(
    jsonb_build_array($1, $5, $7, $8, $9, $12, encode(digest, 'hex'))::text, 'UTF8'));
  document bigint;
  job      bigint;
  first    bytea;
begin
  insert into documents (tenant, sha256, name, media_type, body) values ($6, digest, $4, $3, $2)
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body)
  returning id into document;

  insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, idem_key, input_hash, params,
                    deadline_at)
  values ($6, $7, $8, $9, document, $1, $5, $11, what, coalesce($12, '{}'), $10)
  on conflict (tenant, idem_key) do nothing
  returning id into job;

  if job is null then
    select id, input_hash into job, first from jobs where tenant = $6 and idem_key = $11;
    if first is distinct from what then
      raise exception 'the idempotency key % was used for another submit', $11
        using errcode = 'unique_violation', hint = 'use a new key for a new document or other options';
    end if;
  end if;
  return job;
end $$;

create function docmill_submit(
  prompt text, document text, name text default null, version text default null, tenant text default 'default',
  feature text default 'default', usr text default '', lane text default 'bulk',
  deadline_at timestamptz default null, idem_key text default null, params jsonb default '{}'
) returns bigint language sql as $$
  select docmill_submit_file(
    prompt, convert_to(document, 'UTF8'), 'text/plain', name, version, tenant, feature, usr, lane,
    deadline_at, idem_key, params)
$$;
