-- Who waits for what: jobs that are held for a model, by feature.


-- name: for_models
-- Of one tenant; at most `most` of its held jobs are read.
select held_for, feature, count(*) as jobs, min(wake_at) as until
from (select held_for, feature, wake_at from jobs
      where tenant = :tenant and state = 'held' and held_for is not null order by held_for limit :most) held
group by held_for, feature order by jobs desc

-- name: calls_lately
-- Of the last hour, by model, for some jobs: no index knows a tenant's calls by their time. With `offset` they come job by job, by their index.
select model, account, count(*) as calls, count(*) filter (where failure_kind = 'rate_limited') as limited,
  count(*) filter (where state = 'failed') as failed,
  (percentile_cont(0.5) within group (order by latency_ms))::float as p50_ms,
  (percentile_cont(0.95) within group (order by latency_ms))::float as p95_ms
from (
  (select id from jobs where tenant = :tenant and {has_ended} and finished_at > statement_timestamp() - interval '1 hour'
   order by finished_at desc limit :jobs)
  union all (select id from jobs where tenant = :tenant and state = 'running' limit :jobs)
  union all (select id from jobs where tenant = :tenant and state = 'held' and held_for is not null
             order by held_for limit :jobs)) latest
cross join lateral (
  select model, account, failure_kind, state, latency_ms, started_at from calls where job_id = latest.id offset 0) lately
where started_at > statement_timestamp() - interval '1 hour'
group by model, account
