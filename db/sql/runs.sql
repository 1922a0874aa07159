-- Runs: documents that were submitted together.


-- name: begin
-- What was closed under the key of a request is found again, and not begun anew.
with closed as (
  select id from runs where tenant = :tenant and idem_key = :key and closed_at is not null and :cause = 'api'
  order by id desc limit 1),
begun as (
  insert into runs (tenant, name, cause, submit, metadata, expected, idem_key)
  select :tenant, :name, :cause, :submit::jsonb, :metadata::jsonb, :expected, :key where not exists (select from closed)
  on conflict (tenant, idem_key) where closed_at is null and idem_key is not null
  do update set expected = excluded.expected returning id)
select id from closed union all select id from begun

-- name: closed_meanwhile
-- A statement of its own sees who closed it while the one before waited for that.
select id from runs where tenant = :tenant and idem_key = :key and closed_at is not null order by id desc limit 1

-- name: close
update runs set closed_at = clock_timestamp() where id = :id and closed_at is null

-- name: counts
-- Jobs by state, by their index alone; why they failed, wait, or go to a person, where what is done, by far the most,
-- is not looked at; and those asked afresh. One statement, so that all are of one moment.
select run_id as run, state, null::text as reason, false as held, false as afresh, count(*) as jobs
from jobs where run_id = any(:runs::bigint[]) group by run_id, state
union all
select run_id, null, case when state = 'held' then wait else coalesce(failure ->> 'kind', '') end as reason,
  state = 'held' as held, false, count(*)
from jobs where run_id = any(:runs::bigint[]) and state in ('failed', 'needs_review', 'held')
group by run_id, reason, held
union all
select run_id, null, null, false, true, count(*)
from jobs where run_id = any(:runs::bigint[]) and afresh_of is not null group by run_id

-- name: spent
-- With `offset` calls come job by job, by their index, here and below: else those of all jobs are read.
select coalesce(sum(cost_usd), 0) as usd,
  coalesce(bool_or(possibly_billed or (call.state in ('answered', 'surplus') and cost_usd is null)), false) as unknown
from jobs cross join lateral (select state, cost_usd, possibly_billed from calls where job_id = jobs.id offset 0) call
where run_id = :run

-- name: spent_on_some
select coalesce(sum(cost_usd), 0) as usd,
  coalesce(bool_or(possibly_billed or (call.state in ('answered', 'surplus') and cost_usd is null)), false) as unknown
from (select id from jobs where run_id = :run and state = 'done' order by id limit :most) job
cross join lateral (select state, cost_usd, possibly_billed from calls where job_id = job.id offset 0) call

-- name: pace
-- What ended lately is found among what the tenant's jobs did, and the first submit at the run's smallest id.
select ended.jobs, least(extract(epoch from clock_timestamp() - jobs.created_at), :over_s)::float as over_s
from (
  select count(*) as jobs from jobs
  where tenant = (select tenant from runs where id = :run) and {has_ended}
    and finished_at > clock_timestamp() - make_interval(secs => :over_s) and run_id = :run) ended
left join (
  select min(first.id) as id
  from unnest(array['queued', 'running', 'held', 'done', 'needs_review', 'failed', 'cancelled']) s (state)
  cross join lateral (select min(id) as id from jobs where run_id = :run and jobs.state = s.state) first) first on true
left join jobs on jobs.id = first.id

-- name: drop_empty
delete from runs where id = :id and not exists (select from jobs where run_id = :id)
