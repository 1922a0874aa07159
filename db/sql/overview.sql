-- Where the work stands, of some tenants. Each reads at most `most` rows of a tenant, by an index of just these: so that it
-- takes milliseconds however many jobs there are, and says where there are more.


-- name: now
select clock_timestamp()

-- name: tenants
-- One step along the index a tenant.
with recursive found as (
  (select tenant from jobs order by tenant limit 1)
  union all
  select (select tenant from jobs where tenant > found.tenant order by tenant limit 1) from found
  where found.tenant is not null)
select tenant from found where tenant is not null limit :most

-- name: reviews
select count(*) as jobs, min(finished_at) as oldest from unnest(:tenants::text[]) t(tenant)
cross join lateral (select finished_at from jobs where jobs.tenant = t.tenant and state = 'needs_review'
                    order by finished_at limit :most) waiting

-- name: held
-- With `between`, as below.
select wait, coalesce(held_for, '') as held_for, budget_id, count(*) as jobs, min(wake_at) as until,
  min(created_at) as oldest
from unnest(:tenants::text[]) t(tenant)
cross join lateral (select wait, held_for, budget_id, wake_at, created_at from jobs
                    where jobs.tenant between t.tenant and t.tenant and state = 'held'
                    order by jobs.tenant, held_for limit :most) held
group by 1, 2, 3 order by jobs desc

-- name: under_way
-- Sent, running or counting down: as many as the fleet has room for.
select stage, count(*) as jobs, min(created_at) as oldest from jobs
where state = 'running' and tenant = any(:tenants::text[]) group by stage

-- name: unsent
-- Counted by their index alone; the oldest is the first of each.
select coalesce(sum(waiting.jobs), 0)::bigint as jobs, min(first.created_at) as oldest from unnest(:tenants::text[]) t(tenant)
cross join unnest(array['interactive', 'bulk']) lanes(lane)
cross join unnest(array['new', 'begun', 'scans', 'apart']) turns(turn)
cross join lateral (
  select count(*) as jobs, min(id) as first from (
    select id from jobs where jobs.tenant = t.tenant and jobs.lane = lanes.lane
      and jobs.turn = turns.turn and state = 'queued' order by id limit :most) those) waiting
left join jobs first on first.id = waiting.first

-- name: ends
-- Of the last hour, in parts of five minutes, 0 being the oldest.
select state, least(11, floor(extract(epoch from finished_at - began.at) / 300))::int as part, count(*) as jobs
from (select statement_timestamp() - interval '1 hour' as at) began
cross join unnest(:tenants::text[]) t(tenant)
cross join lateral (select state, finished_at from jobs
                    where jobs.tenant = t.tenant and {has_ended} and finished_at > began.at
                    order by finished_at desc limit :moved) ended
group by 1, 2

-- name: submitted
-- The latest, as far as they are of the last hour. With `between` they come by the index of a tenant's latest: with `=`, for
-- a tenant of whom Postgres has no idea how many it has, from the latest back of all tenants.
select least(11, floor(extract(epoch from created_at - began.at) / 300))::int as part, count(*) as jobs
from (select statement_timestamp() - interval '1 hour' as at) began
cross join unnest(:tenants::text[]) t(tenant)
cross join lateral (select created_at from jobs where jobs.tenant between t.tenant and t.tenant
                    order by jobs.tenant, id desc limit :moved) latest
where created_at > began.at group by 1

-- name: failures
-- Of the last hour, by what they failed of; numbers in messages are no difference.
select coalesce(failure ->> 'kind', '') as kind, prompt, max(id) as last, count(*) as jobs, max(finished_at) as at,
  left(regexp_replace(failure ->> 'message', '[0-9]+', '…', 'g'), 200) as message
from unnest(:tenants::text[]) t(tenant)
cross join lateral (select id, failure, coalesce(prompt, '') as prompt, finished_at from jobs
                    where jobs.tenant = t.tenant and state = 'failed' order by id desc limit :most) latest
where finished_at > statement_timestamp() - interval '1 hour'
group by kind, prompt, message order by jobs desc limit 50

-- name: models_held
select account, model, hold_cause as cause, hold_until as until from model_state
where hold_cause is not null order by account, model

-- name: facets
-- How many jobs are in each of the states in which somebody may look for them; what is done is not counted.
select 'failed' as state, count(*) as jobs from (
  select from jobs where tenant = :tenant and state = 'failed' order by id desc limit :most) failed
union all select 'needs_review', count(*) from (
  select from jobs where tenant = :tenant and state = 'needs_review' order by finished_at limit :most) reviews
union all select 'held', count(*) from (select from jobs where tenant = :tenant and state = 'held' limit :most) held
union all select 'running', count(*) from (
  select from jobs where tenant = :tenant and state = 'running' limit :most) running
union all select 'queued', count(*) from unnest(array['interactive', 'bulk']) lanes(lane)
  cross join unnest(array['new', 'begun', 'scans', 'apart']) turns(turn)
  cross join lateral (select from jobs where tenant = :tenant and lane = lanes.lane and jobs.turn = turns.turn
                      and state = 'queued' order by id limit :most) queued
