-- Figures for Prometheus. Those of now have an index of just the rows that they count. Those that only grow are counted by
-- upkeep, minute by minute, from what has ended lately, and added up: who asks for them reads no job and no call.


-- name: unsent
select stage, wait, count(*) as jobs from jobs where state = 'queued' group by stage, wait

-- name: under_way
select stage, wait, count(*) as jobs from (
  select stage, wait from jobs where state = 'running' union all select stage, wait from jobs where state = 'held') under_way
group by stage, wait

-- name: in_doubt
select count(*) from calls where possibly_billed and state = 'in_doubt'

-- name: slots
select queue, sum(slots) as slots from workers where seen_at > clock_timestamp() - interval '30 s' group by queue


-- name: until
-- Until when what has ended is counted; on the first day, from now on.
insert into metric_until (until) values (clock_timestamp())
on conflict (one) do update set until = metric_until.until
returning greatest(until, clock_timestamp() - interval '1 day') as until, clock_timestamp() as now

-- name: set_until
update metric_until set until = :now

-- fragment: counted
-- What is `found`, by minute. A minute is counted again while somebody may still commit something of it, and never falls.
insert into metric_minutes (minute, metric, labels, value)
select minute, metric, labels, sum(value) from found where value <> 0 group by minute, metric, labels
on conflict (minute, metric, labels) do update set value = greatest(metric_minutes.value, excluded.value)

-- name: count_jobs
-- By the index of what has ended, tenant by tenant. What no prompt's files were ever found for has no prompt here: it may
-- be called anything.
with recursive tenants as (
  (select tenant from jobs order by tenant limit 1)
  union all
  select (select tenant from jobs where tenant > tenants.tenant order by tenant limit 1) from tenants
  where tenants.tenant is not null),
ended as (
  select date_trunc('minute', e.finished_at) as minute, e.state, left(coalesce(e.failure ->> 'kind', ''), 40) as cause,
    case when e.content_hash is null then '' else coalesce(e.prompt, '') end as prompt,
    greatest(0, extract(epoch from e.finished_at - e.created_at))::float as took_s
  from tenants cross join lateral (
    select * from jobs where jobs.tenant = tenants.tenant and {has_ended} and finished_at > :since::timestamptz) e),
found as (
  select ended.minute, v.* from ended cross join lateral (values
    ('docmill_jobs_ended', array[state, prompt, cause], 1::float),
    ('docmill_job_seconds', array[prompt, width_bucket(took_s, :bounds::float[])::text], 1),
    ('docmill_job_seconds_sum', array[prompt], took_s)) v (metric, labels, value))
{counted}

-- name: count_calls
-- Those that were closed lately, however long ago they began: a reply may lie with its worker for hours before it is stored.
-- What is in doubt may be answered yet, and is counted then: a figure that only grows takes nothing back.
with ended as (
  select *, date_trunc('minute', finished_at) as minute, latency_ms / 1000.0 as took_s
  from calls where finished_at > :since::timestamptz and state not in ('intent', 'in_doubt')),
found as (
  select ended.minute, v.* from ended cross join lateral (values
    ('docmill_calls', array[model, state, coalesce(failure_kind, '')], 1::float),
    ('docmill_call_seconds', array[model, width_bucket(took_s::float, :bounds::float[])::text],
      (state in ('answered', 'surplus'))::int),
    ('docmill_call_seconds_sum', array[model], case when state in ('answered', 'surplus') then took_s end),
    ('docmill_tokens', array[model, 'input'], input_tokens), ('docmill_tokens', array[model, 'output'], output_tokens),
    ('docmill_tokens', array[model, 'cached'], cached_tokens),
    ('docmill_cost_usd', array[model], cost_usd::float),
    ('docmill_saved_usd', array[coalesce(cache_layer, '')], saved_usd::float),
    ('docmill_cache_answers', array[coalesce(cache_layer, '')], (state = 'cached')::int),
    ('docmill_calls_unpriced', array[model], (state in ('answered', 'surplus') and cost_usd is null)::int)
  ) v (metric, labels, value) where array_position(v.labels, null) is null)
{counted}

-- name: note
-- What a process has measured itself.
insert into metric_minutes (minute, metric, labels, value)
select date_trunc('minute', clock_timestamp()), metric, array[first, second], value
from unnest(:metrics::text[], :firsts::text[], :seconds::text[], :values::float[]) as noted(metric, first, second, value)
order by metric, first, second -- each process in this order, or two would wait for each other
on conflict (minute, metric, labels) do update set value = metric_minutes.value + excluded.value

-- name: add_up
-- Minutes that nobody counts any more.
with old as (delete from metric_minutes where minute < :before::timestamptz returning metric, labels, value)
insert into metric_totals (metric, labels, value) select metric, labels, sum(value) from old group by metric, labels
on conflict (metric, labels) do update set value = metric_totals.value + excluded.value

-- name: totals
select metric, labels, sum(value) as value from (
  select metric, labels, value from metric_totals union all select metric, labels, value from metric_minutes) every
group by metric, labels order by metric, labels

-- name: deliveries
-- Of webhooks; more than so many are not counted.
select 'failed' as state, count(*) as deliveries from (
  select from webhook_deliveries where state = 'failed' limit :most) failed
union all select 'waiting', count(*) from (
  select from webhook_deliveries where due_at is not null limit :most) waiting
