-- The statements of bench/million.py, each after its name. `drawn` is what is known of a job by its number alone.

-- name: words
repeat('Tea house invoice 2026-10-11 total 12.10 EUR, paid by card. ', 8)

-- name: drawn
select n, dice, tenant, began, began + make_interval(secs => 2 + (2147483647 & hashint8(n + 1)) % 40) as ended,
  'feature ' || feature as feature, 'user ' || feature || '-' || (2147483647 & hashint8(n + 2)) % 20 as usr,
  case when n <= :jobs / 50 then 'ancient' when n % 200000 = 11 then 'nda'
    else (array['invoice', 'receipt', 'receipt', 'document_type', 'summary'])[1 + feature % 5] end as prompt,
  'v' || 1 + (3 * n / (:jobs + 1))::int as version,
  case when n > :jobs - 5000 and dice between 90 and 93 then 'running'
    when n > :jobs - 100000 and dice between 94 and 150 then 'queued'
    when dice between 70 and 72 then 'held' when dice < 50 then 'failed' when dice < 60 then 'needs_review'
    when dice < 65 then 'cancelled' else 'done' end as state,
  case when n <= 3 then 'poison' when n % 97 = 0 then 'timeout'
    else (array['unreadable', 'unreadable', 'wrong', 'invalid', 'budget', 'internal'])[1 + n % 6] end as cause,
  case when tenant = 'default' and n between :jobs / 2 and :jobs / 2 + :jobs / 7 then 1
    when n % 4 = 0 and tenant = 'default' then 2 + 2 * (n / 4000) when n % 4 = 0 and tenant = 'small'
    then 3 + 2 * (n / 40000) end as run,
  case when n % 3 = 0 then 'inbox' else 'archive/' || to_char(began, 'YYYY-MM') end || '/' ||
    (array['acme', 'Müller', 'hull', 'tea-house', 'northwind', 'contoso'])[1 + (2147483647 & hashint8(n + 3)) % 6] || '-' ||
    (array['invoice', 'receipt', 'letter', 'statement'])[1 + n % 4] || '-' || lpad(n::text, 7, '0') || '.txt' as path,
  case (2147483647 & hashint8(n + 4)) % 20 when 0 then 40 when 1 then 40 when 2 then 20 when 3 then 20
    else 4 + (2147483647 & hashint8(n + 5)) % 3 end as called
from (
  select n, (2147483647 & hashint8(n)) % 1000 as dice, (2147483647 & hashint8(n + 6)) % 20 as feature,
    case when n % 50000 = 7 then 'tiny' when n % 100 = 0 then 'small' when n % 100 < 10 then 'middle'
      when n % 100 < 30 then 'other' else 'default' end as tenant,
    case when n > :jobs - 30000 then :now - (:jobs - n) * interval '1 hour' / 30000
      else :now - interval '1 hour'
        - (:jobs - 30000 - n) * (interval '59 days' / (:jobs - 30000)) end as began
  from generate_series(:first, :last) n) numbered

-- name: runs
insert into runs (id, tenant, name, cause, created_at, expected) overriding system value
select run, tenant, 'run ' || run, 'submit', min(began), count(*) from ({drawn}) drawn where run is not null group by 1, 2

-- name: documents
insert into documents (id, tenant, sha256, name, media_type, body, text, created_at) overriding system value
select n, tenant, sha256(int8send(n)), regexp_replace(path, '^.*/', ''), 'text/plain',
  convert_to(n || {words}, 'UTF8'), n || {words}, began
from ({drawn}) drawn

-- name: jobs
insert into jobs (id, tenant, feature, usr, lane, document_id, prompt, version, state, stage, epoch, attempt, purpose,
  history, wait, wake_at, flight_key, budget_id, held_for, since, need_usd, context, failure, created_at,
  finished_at, name, path, run_id, content_hash, metadata) overriding system value
select n, tenant, feature, usr, 'bulk', n, prompt, version, state,
  case state when 'done' then 'store' when 'queued' then 'validate' else 'complete' end,
  case state when 'queued' then 0 else 1 end, 0, case when dice between 500 and 550 then 'escalation' else 'first' end,
  case when dice between 500 and 599 or state = 'needs_review' then jsonb_build_array(jsonb_build_object(
    'attempt', 0, 'purpose', 'first', 'kind', 'wrong', 'model', 'sim-small', 'remedy', 'correct', 'message', 'it is wrong',
    'problems', jsonb_build_array('lines.' || n % 9 || '.total: is not in the document', 'total: is not ' || n))) else '[]' end,
  case state when 'running' then 'running' when 'queued' then 'unsent'
    when 'held' then case dice when 70 then 'budget' when 71 then 'rate' else 'flight' end end,
  :now + interval '10 days', case when state in ('done', 'held') then sha256(int8send(n)) end,
  case when state = 'held' and dice = 70 then 1 + n % 20 end,
  case when state = 'held' and dice = 71 then 'default/sim-' || case when n % 2 = 0 then 'small' else 'large' end end,
  case when state = 'held' then began end, case when state = 'held' and dice = 70 then 0.0001 * (1 + n % 90) end,
  '{"passages": [[0, 480]], "left_out": []}',
  case when state in ('failed', 'needs_review', 'held') then jsonb_build_object('kind',
    case when state = 'needs_review' then 'wrong' when state = 'held' then 'budget' else cause end, 'message',
    'page ' || n % 7 || ' of the document says otherwise, and so it was given up after 3 attempts') end,
  began, case when state in ('done', 'failed', 'needs_review', 'cancelled') then ended end,
  regexp_replace(path, '^.*/', ''), path, run, sha256(prompt::bytea),
  case when n % 5 = 0 then jsonb_build_object('order', n) else '{}' end
from ({drawn}) drawn

-- name: calls
insert into calls (id, job_id, purpose, attempt, try, part, state, tenant, feature, usr, prompt, version, content_hash,
  input_hash, provider, account, model, model_echoed, input_tokens, cached_tokens, output_tokens, cost_usd, saved_usd,
  price_source, cache_layer, remedy, failure_kind, http_status, request_id, possibly_billed, latency_ms, started_at,
  finished_at, wasted)
select md5(n || '-' || k)::uuid, n, 'first', 0, 1, k,
  case when said < 6 then 'failed' when said < 14 then 'cached' else 'answered' end, tenant, feature, usr, prompt, version,
  sha256(prompt::bytea), decode(md5(n || 'i' || k), 'hex'), 'simulator', 'default', model, model, 300 + n % 500, 0, 20 + n % 50,
  case when said < 14 then 0 when said < 999 then (300 + n % 500) * 0.00000015 end, case when said between 6 and 13 then 0.0001 end,
  'docmill.toml', case when said between 6 and 13 then 'l2' end, case when said > 970 then 'correct' end,
  case when said < 6 then 'rate_limited' end, case when said < 6 then 429 when said >= 14 then 200 end,
  'req-' || left(md5(n || 'r' || k), 20), said = 5 and n % 7 = 0, 200 + said, at, at + make_interval(secs => 0.2 + said / 1000.0),
  case when state in ('failed', 'cancelled') and said >= 14 then 'failed' when said between 960 and 970 then 'rejected' end
from (
  select drawn.*, k, (2147483647 & hashint8(n * 64 + k)) % 1000 as said, began + (ended - began) * k / called as at,
    case when (2147483647 & hashint8(n * 64 + k + 1)) % 100 > 94 then 'sim-large' else 'sim-small' end as model
  from ({drawn}) drawn cross join lateral generate_series(0, called - 1) k where state <> 'queued') asked

-- name: exchanges
insert into exchanges (call_id, request, reply, at)
select id, jsonb_build_object('model', model, 'temperature', 0, 'messages', jsonb_build_array(
    jsonb_build_object('role', 'system', 'content', 'Say what the document says.'),
    jsonb_build_object('role', 'user', 'content', {words}))),
  case when state = 'answered' then jsonb_build_object('text', '{"total": "12.10", "company": "Tea house"}',
    'finish_reason', 'stop') end, started_at
from calls where job_id between :first and :last and state <> 'cached' and job_id > :jobs - 100000

-- name: results
insert into results (job_id, revision, value, evidence, author, created_at)
select id, 1, jsonb_build_object('company', 'Tea house', 'date', '2026-10-11', 'total', 12.10, 'address', 'A street ' || id),
  jsonb_build_object('company', jsonb_build_object('start', 7, 'end', 16, 'value', 'Tea house'),
    'total', jsonb_build_object('start', 42, 'end', 47, 'value', '12.10')), 'docmill', finished_at
from jobs where id between :first and :last and state in ('done', 'needs_review')

-- name: drives
insert into drives (job_id, epoch, stage, cause, at)
select id, 1, 'validate', 'start', created_at from jobs where id between :first and :last and state <> 'queued'

-- name: reviews
insert into reviews (job_id, tenant, claimed_by, desk, claimed_until, decision, author, revision, seconds, changed, decided_at)
select id, tenant, 'ana', 'browser:ana', finished_at, 'correct', case when id % 2 = 0 then 'ana' else 'ben' end, 1, 5,
  '["total"]', finished_at + interval '1 hour'
from jobs where id between :first and :last and state = 'done' and id % 100 in (17, 50, 0)

-- name: budgets_of_others
insert into budgets (id, scope, subject, span, policy, cap_usd, window_start, spent_usd, series)
       overriding system value
       select n, case when n % 2 = 0 then 'feature' else 'user' end, 'some ' || n, 'month', 'hold', 10,
         date_trunc('month', now()), n, n from generate_series(1, 20) n

-- name: budgets_of_tenants
insert into budgets (id, scope, subject, span, policy, cap_usd, window_start, spent_usd, series)
       overriding system value
       select 20 + n, 'tenant', (array['default', 'small'])[n], 'month', 'hold', 1000, date_trunc('month', now()), 40, 20 + n
       from generate_series(1, 2) n

-- name: collections
insert into collections (tenant, name, model)
       select t, 'collection-' || n, 'sim-embed' from unnest(array['default', 'small']) t, generate_series(1, 20) n

-- name: collection_documents
insert into collection_documents (collection_id, document_id, language)
       select c.id, d.id, 'english' from collections c
       cross join lateral (select id from documents where tenant = c.tenant order by id limit 5000) d

-- name: chunks
insert into chunks (tenant, collection, document_id, position, start_at, end_at, sha256, text, collection_id, language)
       select c.tenant, c.name, d.document_id, p, 0, 60, sha256(int8send(d.document_id * 8 + p)), 'Tea house total', c.id, 'english'
       from collections c join collection_documents d on d.collection_id = c.id cross join generate_series(0, 4) p

-- name: schedules
insert into schedules (name, cron, time_zone, submit, next_at)
       select 'nightly ' || n, '0 2 * * *', 'Europe/Berlin', '{"prompt": "receipt", "paths": ["inbox"]}', now() + interval '1 day'
       from generate_series(1, 30) n

-- name: slots
insert into slots (name, slot, at, jobs)
       select name, now() - day * interval '1 day', now(), 100 from schedules, generate_series(1, 60) day

-- name: later
create temp table later on commit drop as select now() - max(created_at) as by from jobs where id = :jobs

-- name: later_jobs
update jobs set created_at = created_at + by, finished_at = finished_at + by from later where id > :jobs - :lately

-- name: later_calls
update calls set started_at = started_at + by, finished_at = finished_at + by from later where job_id > :jobs - :lately and job_id % 10 = 0
