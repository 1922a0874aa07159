-- Functions and triggers of the schema, as they are now. `db.migrations.upgrade` puts them in after the migrations,
-- whenever this file has changed. They must do for the code of the version before, too (docs/decisions/0062): what has
-- another signature, or another result, has another name.

-- Submitting is a function, so that any application that shares the database can enqueue inside its own transaction,
-- in any language. A job exists if and only if the caller commits; the prompts that workers know lie in files, so an
-- unknown one is found by the validate stage.
create or replace function docmill_refuse(field text, rule text, remedy text) returns void language plpgsql as $$
begin
  raise exception 'docmill_submit: %: %', field, rule
    using errcode = 'invalid_parameter_value', hint = remedy;
end $$;

-- A text that has a place in one line. What is wrong with it, or null.
create or replace function docmill_wrong_text(value text) returns text immutable language sql as $$
  select case
    when length(value) > 200 then format('it has %s characters', length(value))
    when value ~ '[\x01-\x1f\x7f]' then 'it has control characters'
  end
$$;

-- A document's name may come with its path; the name is the last part.
create or replace function docmill_wrong_path(path text) returns text immutable language sql as $$
  select case
    when length(path) > 4096 then format('it has %s characters', length(path))
    when path ~ '[\x01-\x1f\x7f]' then 'it has control characters'
  end
$$;

create or replace function docmill_file_name(path text) returns text immutable language sql as $$
  select nullif(right(regexp_replace(path, '^.*[/\\]', ''), 200), '')
$$;

create or replace function docmill_wrong_params(params jsonb) returns text immutable language sql as $$
  select case
    when jsonb_typeof(params) <> 'object' then format('it is of type %s', jsonb_typeof(params))
    when octet_length(params::text) > 100000 then format('it has %s bytes', octet_length(params::text))
    when params @? 'strict $.**{20} ? (@.type() == "array" || @.type() == "object")' then 'it is nested too deep'
    when params @? 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))' then 'a number is too large'
  end
$$;

-- The bounds of docmill/bounds.py, for callers in any language. Raises invalid_parameter_value.
create or replace function docmill_check_submit(
  prompt text, name text, version text, tenant text, feature text, usr text, lane text, deadline_at timestamptz,
  idem_key text, params jsonb
) returns void language plpgsql as $$
declare
  short constant text := 'a text of at most 200 characters, without control characters';
  field text;
  rule  text;
begin
  select f, r into field, rule from (values
    ('prompt', case when $1 = '' then 'it is empty' when $1 is null then 'it is null' end),
    ('tenant', case when $4 is null then 'it is null' end),
    ('feature', case when $5 is null then 'it is null' end),
    ('usr', case when $6 is null then 'it is null' end),
    ('idem_key', case when $9 = '' then 'it is empty' end),
    ('prompt', docmill_wrong_text($1)), ('name', docmill_wrong_path($2)), ('version', docmill_wrong_text($3)),
    ('tenant', docmill_wrong_text($4)), ('feature', docmill_wrong_text($5)), ('usr', docmill_wrong_text($6)),
    ('idem_key', docmill_wrong_text($9))
  ) as checked (f, r) where r is not null limit 1;
  if found then
    perform docmill_refuse(field, rule, short);
  end if;
  if $7 is null or $7 not in ('interactive', 'bulk') then
    perform docmill_refuse('lane', 'there is no such lane', 'interactive or bulk');
  end if;
  if $8 not between clock_timestamp() - interval '1 day' and clock_timestamp() + interval '36600 days' then
    perform docmill_refuse(
      'deadline', 'it is no time to wait for', 'a time within a hundred years from now, and not long past; null for none');
  end if;
  rule := docmill_wrong_params($10);
  if rule is not null then
    perform docmill_refuse('params', rule,
      'an object of at most 100 KB, nested at most 20 levels deep, with numbers of at most 308 digits');
  end if;
end $$;

-- What an idempotency key stands for: all that a submit says but when it is due, and under which name.
create or replace function docmill_what(
  prompt text, version text, feature text, usr text, lane text, params jsonb, digest bytea, metadata jsonb
) returns bytea immutable language sql as $$
  select sha256(convert_to((
    jsonb_build_array($1, $2, $3, $4, $5, $6, encode($7, 'hex'))
    || case when $8 = '{}' then '[]' else jsonb_build_array($8) end)::text, 'UTF8'))
$$;

-- Whether a document is read within milliseconds, whatever it is: few bytes, and text, in which no byte is 0. Files of packed
-- or binary formats have some, as a rule; a PDF may have none (docs/decisions/0218).
create or replace function docmill_is_short(body bytea) returns boolean immutable language sql as $$
  select octet_length(body) <= 65536 and position('\x00'::bytea in body) = 0
    and position('%PDF'::bytea in substr(body, 1, 1024)) = 0
$$;

-- Without the content's hash it would be another function beside this one.
drop function if exists docmill_submit_job(text, bytea, text, text, text, text, text, text, text, timestamptz, text, jsonb,
  jsonb, bigint);
-- The job, and whether it was made: its key may be another's, who submits at the same moment and is waited for.
create or replace function docmill_accept_job(
  prompt text, body bytea, media_type text, name text, version text, tenant text, feature text, usr text,
  lane text, deadline_at timestamptz, idem_key text, params jsonb, metadata jsonb, run_id bigint,
  content_hash bytea, out job bigint, out is_new boolean
) language plpgsql as $$
#variable_conflict use_column
declare
  -- Parameters by position: their names are those of columns.
  digest bytea;
  what   bytea;
  document bigint;
  known    text;
  first    bytea;
begin
  perform docmill_check_submit($1, $4, $5, $6, $7, $8, $9, $10, $11, $12);
  if $2 is null or octet_length($2) > 52428800 then
    perform docmill_refuse('document', case when $2 is null then 'it is null' else 'it is too large' end,
      'a document of at most 50 MB');
  end if;
  digest := sha256($2);
  what := docmill_what($1, $5, $7, $8, $9, $12, digest, $13);

  insert into documents (tenant, sha256, name, media_type, body, short)
  values ($6, digest, docmill_file_name($4), $3, $2, docmill_is_short($2))
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body), short = excluded.short
  returning id, name into document, known;

  insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, idem_key, input_hash, params,
                    deadline_at, name, path, metadata, run_id, content_hash)
  values ($6, $7, $8, $9, document, $1, $5, $11, what, coalesce($12, '{}'), $10,
          docmill_file_name($4), coalesce($4, known), $13, $14, $15) -- the path that it is found by
  on conflict (tenant, idem_key) do nothing
  returning id into job;

  is_new := job is not null;
  if not is_new then
    select id, input_hash into job, first from jobs where tenant = $6 and idem_key = $11;
    if first is distinct from what then
      raise exception 'the idempotency key % was used for another submit', $11
        using errcode = 'unique_violation', hint = 'use a new key for a new document or other options';
    end if;
  end if;
end $$;

create or replace function docmill_submit_job(
  prompt text, body bytea, media_type text, name text, version text, tenant text, feature text, usr text,
  lane text, deadline_at timestamptz, idem_key text, params jsonb, metadata jsonb, run_id bigint,
  content_hash bytea default null
) returns bigint language sql as $$
  select job from docmill_accept_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
$$;

-- What jobs are searched by (docs/decisions/0185): what is said of one, and whatever three bytes follow each other in its
-- path, each as a number that holds the tenant. An index is made of it: it never changes, another would have another name.
create or replace function docmill_search_keys(tenant text, said text[], path text) returns int[]
immutable parallel safe language sql as $$
  select array(
    select hashtextextended(word, hashtextextended($1, 0))::bit(32)::int
    from unnest($2) as word where word is not null
    union all
    select hashint8extended(
      get_byte(bytes, at)::bigint << 16 | get_byte(bytes, at + 1) << 8 | get_byte(bytes, at + 2),
      hashtextextended($1, 0))::bit(32)::int
    from convert_to($3, 'UTF8') as bytes, generate_series(0, length(bytes) - 3) as at)
$$;

create or replace function docmill_submit_file(
  prompt text, body bytea, media_type text, name text, version text, tenant text, feature text, usr text,
  lane text, deadline_at timestamptz, idem_key text, params jsonb
) returns bigint language sql as $$
  select docmill_submit_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '{}', null)
$$;

create or replace function docmill_submit(
  prompt text, document text, name text default null, version text default null, tenant text default 'default',
  feature text default 'default', usr text default '', lane text default 'bulk',
  deadline_at timestamptz default null, idem_key text default null, params jsonb default '{}'
) returns bigint language plpgsql as $$
begin
  if $2 is null or $2 = '' then
    perform docmill_refuse('document', case when $2 is null then 'it is null' else 'it is empty' end,
      'a text; a file goes over HTTP');
  end if;
  return docmill_submit_file(
    $1, convert_to($2, 'UTF8'), 'text/plain', $3, $4, $5, $6, $7, $8, $9, $10, $11);
end $$;

-- In which turn a job starts that is queued: for the first time, in quarantine, with pages for OCR, or once again.
create or replace function docmill_turn(stage text, crashes int) returns text immutable language sql as $$
  select case when crashes >= 2 then 'apart' when stage = 'validate' then 'new' when stage = 'ocr' then 'scans' else 'begun' end
$$;

-- Budgets.
create or replace function docmill_window_start(span text, at timestamptz, zone text) returns timestamptz
language sql stable as $$
  select case when span = 'total' then '-infinity' else date_trunc(span, at, zone) end
$$;

-- Costs (docs/decisions/0011).
-- What a call adds to the sums, or takes from them where the sign is -1. An open call adds nothing yet.
create or replace function docmill_costs_of(c calls, sign int) returns setof costs_changes
language sql immutable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    sign::bigint, (sign * (c.state = 'cached')::int)::bigint,
    (sign * (c.state in ('failed', 'in_doubt'))::int)::bigint,
    (sign * (c.state in ('answered', 'surplus') and c.cost_usd is null)::int)::bigint,
    (sign * c.possibly_billed::int)::bigint,
    (sign * coalesce(c.input_tokens, 0))::bigint, (sign * coalesce(c.cached_tokens, 0))::bigint,
    (sign * coalesce(c.output_tokens, 0))::bigint,
    sign * coalesce(c.cost_usd, 0), sign * coalesce(c.saved_usd, 0),
    case when c.state = 'surplus' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'rejected' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'failed' then sign * coalesce(c.cost_usd, 0) else 0 end,
    0::bigint
  where c.state <> 'intent'
$$;

create or replace function docmill_acceptance_of(j jobs, sign int) returns setof costs_changes
language sql stable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
    0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric, sign::bigint
  from calls c
  where c.job_id = j.id and j.state = 'done' and c.state in ('answered', 'cached') and c.purpose <> 'embed'
  order by c.attempt desc, c.try desc limit 1
$$;

-- A call's line, as it was or as it is now; the argument is the sign. An intent adds nothing, and costs nothing here.
create or replace function docmill_note_call() returns trigger language plpgsql as $$
begin
  if tg_argv[0] = '-1' then
    insert into costs_changes select * from docmill_costs_of(old, -1);
  else
    insert into costs_changes select * from docmill_costs_of(new, 1);
  end if;
  return null;
end $$;

create or replace trigger calls_made after insert on calls for each row
  when (new.state <> 'intent') execute function docmill_note_call('1');
create or replace trigger calls_were after update on calls for each row
  when (old.state <> 'intent') execute function docmill_note_call('-1');
create or replace trigger calls_are after update on calls for each row
  when (new.state <> 'intent') execute function docmill_note_call('1');

-- What is deleted goes by the thousand: a trigger a statement sees all its rows. One line a day is enough where it is known
-- when days begin; in every time zone that is at a quarter of an hour.
create or replace function docmill_note_calls() returns trigger language plpgsql as $$
begin
  insert into costs_changes
  select coalesce(date_trunc('day', started_at, (select timezone from costs_zone)),
                  date_bin('15 minutes', started_at, 'epoch')) as began, tenant, feature, usr, model, prompt, version, remedy,
    sum(calls), sum(cached), sum(failed), sum(unpriced), sum(possibly_billed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(cost_usd), sum(saved_usd), sum(surplus_usd), sum(rejected_usd), sum(failed_usd), 0
  from (select f.* from changed c cross join lateral docmill_costs_of(c, tg_argv[0]::int) f) found
  group by began, tenant, feature, usr, model, prompt, version, remedy;
  return null;
end $$;

create or replace trigger calls_gone after delete on calls referencing old table as changed for each statement
  execute function docmill_note_calls('-1');

-- Two smaller roll-ups follow that of days (docs/decisions/0212), whoever changes it: what a row was is taken from them, and
-- what it is now added. Rows are taken in one order, though only one folds at a time.
create or replace function docmill_sum_costs() returns trigger language plpgsql as $$
declare
  sign int := tg_argv[0];
begin
  insert into costs_without_users as summed (tenant, day, feature, model, prompt, version, remedy,
    calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted, cost_usd,
    saved_usd, surplus_usd, rejected_usd, failed_usd)
  select tenant, day, feature, model, prompt, version, remedy,
    sign * sum(calls), sign * sum(cached), sign * sum(failed), sign * sum(unpriced), sign * sum(possibly_billed),
    sign * sum(input_tokens), sign * sum(cached_tokens), sign * sum(output_tokens), sign * sum(accepted),
    sign * sum(cost_usd), sign * sum(saved_usd), sign * sum(surplus_usd), sign * sum(rejected_usd),
    sign * sum(failed_usd)
  from changed group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6, 7
  on conflict (tenant, day, feature, model, prompt, version, remedy) do update set
    calls = summed.calls + excluded.calls, cached = summed.cached + excluded.cached,
    failed = summed.failed + excluded.failed, unpriced = summed.unpriced + excluded.unpriced,
    possibly_billed = summed.possibly_billed + excluded.possibly_billed,
    input_tokens = summed.input_tokens + excluded.input_tokens,
    cached_tokens = summed.cached_tokens + excluded.cached_tokens,
    output_tokens = summed.output_tokens + excluded.output_tokens, accepted = summed.accepted + excluded.accepted,
    cost_usd = summed.cost_usd + excluded.cost_usd, saved_usd = summed.saved_usd + excluded.saved_usd,
    surplus_usd = summed.surplus_usd + excluded.surplus_usd,
    rejected_usd = summed.rejected_usd + excluded.rejected_usd, failed_usd = summed.failed_usd + excluded.failed_usd;
  insert into costs_of_users as summed (tenant, day, feature, usr,
    calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted, cost_usd,
    saved_usd, surplus_usd, rejected_usd, failed_usd)
  select tenant, day, feature, usr,
    sign * sum(calls), sign * sum(cached), sign * sum(failed), sign * sum(unpriced), sign * sum(possibly_billed),
    sign * sum(input_tokens), sign * sum(cached_tokens), sign * sum(output_tokens), sign * sum(accepted),
    sign * sum(cost_usd), sign * sum(saved_usd), sign * sum(surplus_usd), sign * sum(rejected_usd),
    sign * sum(failed_usd)
  from changed group by 1, 2, 3, 4 order by 1, 2, 3, 4
  on conflict (tenant, day, feature, usr) do update set
    calls = summed.calls + excluded.calls, cached = summed.cached + excluded.cached,
    failed = summed.failed + excluded.failed, unpriced = summed.unpriced + excluded.unpriced,
    possibly_billed = summed.possibly_billed + excluded.possibly_billed,
    input_tokens = summed.input_tokens + excluded.input_tokens,
    cached_tokens = summed.cached_tokens + excluded.cached_tokens,
    output_tokens = summed.output_tokens + excluded.output_tokens, accepted = summed.accepted + excluded.accepted,
    cost_usd = summed.cost_usd + excluded.cost_usd, saved_usd = summed.saved_usd + excluded.saved_usd,
    surplus_usd = summed.surplus_usd + excluded.surplus_usd,
    rejected_usd = summed.rejected_usd + excluded.rejected_usd, failed_usd = summed.failed_usd + excluded.failed_usd;
  return null;
end $$;

create or replace trigger costs_made after insert on costs_daily referencing new table as changed for each statement
  execute function docmill_sum_costs('1');
create or replace trigger costs_were after update on costs_daily referencing old table as changed for each statement
  execute function docmill_sum_costs('-1');
create or replace trigger costs_are after update on costs_daily referencing new table as changed for each statement
  execute function docmill_sum_costs('1');
create or replace trigger costs_gone after delete on costs_daily referencing old table as changed for each statement
  execute function docmill_sum_costs('-1');

-- A job's end tells what its answers were worth; a retry takes it back. (A list in one literal: Postgres reads the
-- condition anew in each statement, and half as long as one of many literals.)
create or replace function docmill_note_end() returns trigger language plpgsql as $$
begin
  if new.state in ('failed', 'cancelled') then
    update calls set wasted = 'failed' where job_id = new.id and state = 'answered' and wasted is null;
  elsif old.state in ('failed', 'cancelled') then
    update calls set wasted = null where job_id = new.id and wasted = 'failed';
  end if;
  insert into costs_changes select * from docmill_acceptance_of(old, -1);
  insert into costs_changes select * from docmill_acceptance_of(new, 1);
  return null;
end $$;

create or replace trigger jobs_ended after update of state on jobs for each row
  when (old.state <> new.state
        and (old.state = any('{done,failed,cancelled}') or new.state = any('{done,failed,cancelled}')))
  execute function docmill_note_end();

-- What is queued or held is found by `turn` and `held_until`, whoever changes what these follow: another version's code, or
-- somebody by hand. Those of docmill's own statements are right already.
create or replace function docmill_place_job() returns trigger language plpgsql as $$
begin
  if new.held_until > new.wake_at or new.turn <> docmill_turn(new.stage, new.crashes) then
    update jobs set held_until = 'epoch', turn = docmill_turn(stage, crashes) where id = new.id;
  end if;
  return null;
end $$;

create or replace trigger jobs_placed after update of wake_at, state, stage, crashes on jobs for each row
  when (new.state = 'queued' or new.held_until > new.wake_at) execute function docmill_place_job();

-- Webhooks (docs/decisions/0150).
-- What a webhook is sent: what happened, when, and ids and states alone.
create or replace function docmill_payload(event text, data jsonb) returns jsonb stable language sql as $$
  select jsonb_build_object('type', event, 'data', data,
    'timestamp', to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
$$;

-- A job ends, waits for a person or was decided about: its deliveries are committed with that, whoever does it.
create or replace function docmill_tell_of_job() returns trigger language plpgsql as $$
declare
  told text[];
begin
  if not exists (select from webhooks where tenant = new.tenant) then
    return null;
  end if;
  told := case
    when old.state = 'needs_review' then array['job.reviewed']
    when old.state in ('done', 'failed', 'cancelled') then array['job.needs_review']
    when new.state = 'needs_review' then array['job.ended', 'job.needs_review']
    else array['job.ended'] end;
  insert into webhook_deliveries (webhook_id, event, payload)
  select w.id, e.event, docmill_payload(e.event,
    jsonb_build_object('job_id', new.id, 'run_id', new.run_id, 'state', new.state))
  from webhooks w join unnest(told) as e (event) on e.event = any(w.events) where w.tenant = new.tenant
  for key share of w; -- one that is removed just now is waited for, and told of nothing
  if new.run_id is not null and old.state not in ('done', 'needs_review', 'failed', 'cancelled') and exists (
      select from webhooks where tenant = new.tenant and 'run.ended' = any(events)) then
    insert into webhook_runs (run_id) values (new.run_id);
  end if;
  return null;
end $$;

create or replace trigger jobs_told after update of state on jobs for each row
  when (old.state <> new.state and new.state = any('{done,needs_review,failed,cancelled}'))
  execute function docmill_tell_of_job();

-- How many documents came to a run: what was asked afresh is a document that it had.
create or replace function docmill_documents_of(run bigint) returns bigint stable language sql as $$
  select (select count(*) from jobs where run_id = run)
    - (select count(*) from jobs where run_id = run and afresh_of is not null)
$$;

-- A run takes no more: all of it may have ended before. One that had as many documents as were expected is told of when the
-- last of them ends.
create or replace function docmill_tell_of_run() returns trigger language plpgsql as $$
begin
  if old.closed_at is not null or docmill_documents_of(new.id) >= old.expected then
    return null;
  end if;
  insert into webhook_runs (run_id)
  select new.id where exists (select from webhooks where tenant = new.tenant and 'run.ended' = any(events));
  return null;
end $$;

create or replace trigger runs_told after update of closed_at, expected on runs for each row
  when (new.closed_at is distinct from old.closed_at or new.expected is distinct from old.expected)
  execute function docmill_tell_of_run();

-- A budget reaches a threshold. Budgets of more than one tenant are the operator's business.
create or replace function docmill_tell_of_budget() returns trigger language plpgsql as $$
begin
  insert into webhook_deliveries (webhook_id, event, payload)
  select id, 'budget.reached', docmill_payload('budget.reached', jsonb_build_object(
    'budget_id', coalesce(new.series, new.id), 'state', case when new.warned >= 100 then 'spent' else 'nearly_spent' end,
    'percent', new.warned, 'since', new.window_start))
  from webhooks
  where 'budget.reached' = any(events) and (of_operator or (new.scope = 'tenant' and new.subject = tenant))
  for key share;
  return null;
end $$;

create or replace trigger budgets_told after update of warned on budgets for each row
  when (new.warned > old.warned) execute function docmill_tell_of_budget();

-- What others committed while a statement waited for a lock that they had is not in what that statement sees; it is in
-- what a function sees that is called after it (volatile, with a snapshot of its own).
-- Whether another job has the answer to the same work, from the last so many seconds.
create or replace function docmill_answered(work bytea, asker bigint, lately_s float) returns boolean volatile
language plpgsql as $$
begin
  return exists (select from jobs where flight_key = work and id <> asker and state = 'done' and not fresh
    and finished_at > clock_timestamp() - make_interval(secs => lately_s));
end $$;

-- Whether an attempt of a job, or a part of it, has its answer. A call that is being closed just now is waited for; one
-- that is open stays so until the asker is done, whose own is refused by calls_one_open.
create or replace function docmill_replied(job bigint, tried int, of_part int) returns boolean volatile strict
language plpgsql as $$
begin
  perform from calls where job_id = job and part = of_part and state = 'intent' and purpose <> 'embed' for share;
  return exists (select from calls
    where job_id = job and attempt = tried and part = of_part and state = 'answered' and purpose <> 'embed');
end $$;

-- Whether jobs wait for the answer to a work.
create or replace function docmill_awaited(work bytea) returns boolean volatile language plpgsql as $$
begin
  return exists (select from jobs where wait = 'flight' and flight_key = work);
end $$;

-- Views of answers (docs/decisions/0151): a value as its column's type, or null where it is of another.
create or replace function docmill_number(value jsonb) returns numeric immutable language sql as $$
  select case when jsonb_typeof(value) = 'number' then value::numeric end
$$;

create or replace function docmill_truth(value jsonb) returns boolean immutable language sql as $$
  select case when jsonb_typeof(value) = 'boolean' then value::boolean end
$$;

create or replace function docmill_date(value text) returns date immutable language plpgsql as $$
begin
  return case when value ~ '^\d{4}-\d\d-\d\d$' then make_date(left(value, 4)::int, substr(value, 6, 2)::int, right(value, 2)::int) end;
exception when others then
  return null;
end $$;

create or replace function docmill_moment(value text) returns timestamptz stable language plpgsql as $$
begin
  return case when value ~ '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d' then value::timestamptz end;
exception when others then
  return null;
end $$;

-- Search.
-- The words of a text as one collection knows them, and how often each occurs.
create or replace function docmill_terms(collection int, language text, content text)
returns table (key int, occurrences int) language sql stable strict rows 80 as $$
  select (1 + (hashtextextended(language || ':' || lexeme, collection) & 1073741823) % 1000000000)::int,
         sum(cardinality(positions))::int
  from unnest(to_tsvector(language::regconfig, content)) group by 1
$$;

-- BM25 (k1 1.2, b 0.75) as an inner product, for a usual chunk of 80 words that are worth counting.
create or replace function docmill_weights(collection int, language text, content text, out keys int[], out terms sparsevec)
language sql stable strict as $$
  with counted as materialized (
    select key, occurrences, sum(occurrences) over () as length from docmill_terms(collection, language, content)
  )
  select coalesce(array_agg(key), '{}'),
         ('{' || coalesce(string_agg(key || ':' ||
            (occurrences * 2.2 / (occurrences + 1.2 * (0.25 + 0.75 * length / 80.0)))::real, ','), '')
          || '}/1000000000')::sparsevec
  from counted
$$;
