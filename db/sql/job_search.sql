-- Where in a tenant's jobs to look for some of them. Ids grow with the time of the submit, but for what was submitted at
-- the same moment, and for clocks that were put right.


-- name: from_id
-- The tenant's first job from an id on.
select id, created_at from jobs where tenant between :tenant and :tenant and id >= :id order by tenant desc, id limit 1

-- name: newest
select id from jobs where tenant between :tenant and :tenant order by tenant, id desc limit 1

-- name: of_run
-- Of a run, by one step along its index for each state.
select min(found.first) as first, max(found.last) as last
from unnest(array['queued', 'running', 'held', 'done', 'needs_review', 'failed', 'cancelled']) s (state)
cross join lateral (
  select min(id) as first, max(id) as last from jobs where run_id = :run and jobs.state = s.state) found

-- name: end_of_model
-- From when on the tenant made no call of a model; nothing where it made none.
select greatest(
  (select max(day) + 2 from costs_daily where tenant = :tenant and model = :model)::timestamptz,
  (select max(started_at) + interval '1 day' from costs_changes where tenant = :tenant and model = :model))
