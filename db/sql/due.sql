-- Whose time has come: ids, locked, at most `limit` of them and none that is left out (`but`). Rows that somebody else has
-- in hand are left to the next time, so that their order is no matter.


-- fragment: overdue
-- Here and below `statement_timestamp()` and not `clock_timestamp()`, which may change from row to row, so that no
-- index can be searched for it: those whose time has come must be found at once among a million that wait.
state in ('queued', 'running', 'held') and deadline_at < statement_timestamp()

-- fragment: poisoned
-- What is in hand is no more than the fleet has room for, and all of it is looked at.
state = 'running' and ((wait = 'running' and stage = any(:claimed) and crashes + 1 >= :most_crashes)
  or (wait in ('sent', 'running') and stage = any(:redriven) and redrives + 1 >= :most_redrives))
  and wake_at < statement_timestamp()

-- fragment: lost
-- What is held and waits for neither room nor a budget: for a flight, or as a hand has left it.
(state = 'running' or (state = 'held' and wait <> all('{rate,budget}') and held_until < statement_timestamp()))
  and wake_at < statement_timestamp()

-- fragment: hold_over
state = 'held' and wait = 'rate' and held_until < statement_timestamp()
  and wake_at < statement_timestamp()


-- name: intents
select id from calls where state = 'intent' and lease_until < statement_timestamp() and id <> all(:but::uuid[])
order by lease_until limit :limit for update skip locked

-- name: abandoned_calls
-- Of processes that are gone. Nobody else writes to them, but for who closes one with a reply from a spool.
select id from calls where state = 'intent' and owner = any(:gone::text[]) and id <> all(:but::uuid[])
order by id limit :limit for update skip locked

-- name: abandoned_jobs
-- The claims of processes that are gone. Where one was a worker (`took`), it may have taken messages as well, or have
-- published none after its commit. Nobody knows which, so all count that have not been sent again already.
select id from jobs
where state = 'running' and ((wait = 'running' and owner = any(:gone::text[])) or (:took and wait = 'sent' and redrives = 0))
  and id <> all(:but::bigint[])
order by id limit :limit for update skip locked

-- name: overdue
select id from jobs where {overdue} and id <> all(:but::bigint[])
order by deadline_at limit :limit for update skip locked

-- name: holds
select id from jobs where {hold_over} and id <> all(:but::bigint[])
order by held_until limit :limit for update skip locked

-- name: probes
-- For each model whose hold's time is over, one job that waits for it: it tries whether the hold is over indeed.
select (select id from jobs where state = 'held' and wait = 'rate' and held_for = 'hold:' || held.account || '/' || held.model
        and id <> all(:but::bigint[]) order by lane desc, id limit 1) as id
from model_state held where hold_cause is not null and hold_until < statement_timestamp()

-- name: poisoned
select id from jobs where {poisoned} and id <> all(:but::bigint[])
order by wake_at limit :limit for update skip locked

-- name: lost
select id from jobs where {lost} and id <> all(:but::bigint[])
order by wake_at limit :limit for update skip locked

-- name: sent
select id from jobs where state = 'running' and wait = 'sent' and id <> all(:but::bigint[]) for update skip locked

-- name: leaderless
-- The leaders of flights that have ended without an answer. Flight by flight: a join would look for the ended ones among
-- all jobs there ever were. Not while a call of one is open: that one may still be answered, and paid.
select job_id as id from flights where (select wait is null from jobs where jobs.id = flights.job_id)
  and not exists (select from calls where calls.job_id = flights.job_id and state = 'intent')
  and job_id <> all(:but::bigint[])
for update of flights skip locked


-- fragment: tenants_in_turn
-- Of the `candidates`, a view of jobs, as many as there is room for. Their tenants are found by a walk along the
-- index, one step a tenant; of each only as many rows are looked at as could be taken. (`between`, and orders as long as
-- the index's, leave the planner no other index.) Where there is a bound for
-- what is `free`, nobody gets so much in hand that less than that is left: there is room for who comes next, and what
-- a tenant has in bulk leaves it room for what it has in a hurry. And who
-- has documents that had to let others pass, and wait for quarantine, gets no more than a `share` of the slots: else
-- each one of them holds a slot until it is seen that it takes long, and others wait for that time and again.
in_hand as (
  select tenant, count(*) as n, count(*) filter (where lane = 'interactive' or :lane = 'bulk') as before from jobs
  where state = 'running' and stage = any(:at_cpu) and crashes < 2 group by tenant),
tenants as (
  (select tenant from candidates order by lane, tenant, id limit 1)
  union all
  select (select tenant from candidates where tenant > tenants.tenant order by lane, tenant, id limit 1)
  from tenants where tenants.tenant is not null),
waiting as (
  select candidate.id, candidate.place
  from tenants cross join lateral (
    select id, row_number() over (order by id) as place from (
      select id from candidates where tenant between tenants.tenant and tenants.tenant and id <> all(:but::bigint[])
      order by tenant, id
      limit least(:limit, case when :free::int is not null then greatest(0, ceil((:free
        - coalesce((select before from in_hand where in_hand.tenant = tenants.tenant), 0)) / 2.0)) end,
        case when :share::int is not null and exists (select from jobs apart where state = 'queued' and turn = 'apart'
          and lane = any(:lanes) and apart.tenant = tenants.tenant)
        then greatest(0, :share - coalesce((select n from in_hand where in_hand.tenant = tenants.tenant), 0)) end)) first
  ) candidate
  where tenants.tenant is not null
  order by candidate.place, candidate.id limit :limit)
select id, stage from jobs where id in (select id from waiting) and state = 'queued' for update skip locked

-- name: any
-- Whether any job waits to be sent. It is asked ten times a second, and so in the order of its index: the planner might read
-- the table for one of many.
select (select 1 from jobs where state = 'queued' order by turn, lane, tenant, id limit 1) is not null as waits

-- name: begun
-- Jobs that come back from a hold, or from a crash.
with recursive candidates as not materialized (
  select id, lane, tenant from jobs where state = 'queued' and turn = 'begun' and lane = :lane),
{tenants_in_turn}

-- name: new
with recursive candidates as not materialized (
  select id, lane, tenant from jobs where state = 'queued' and turn = 'new' and lane = :lane),
{tenants_in_turn}

-- name: scans
-- Jobs with pages for OCR.
with recursive candidates as not materialized (
  select id, lane, tenant from jobs where state = 'queued' and turn = 'scans' and lane = :lane),
{tenants_in_turn}

-- name: apart
-- Jobs for quarantine.
with recursive candidates as not materialized (
  select id, lane, tenant from jobs where state = 'queued' and turn = 'apart' and lane = :lane),
{tenants_in_turn}

-- name: room
-- Who is held for a model: interactive jobs first, then tenants in turn.
with recursive tenants as (
  (select lane, tenant from jobs where state = 'held' and wait = 'rate' and held_for = :held_for order by lane desc, tenant desc limit 1)
  union all
  select next.lane, next.tenant from tenants cross join lateral (
    select lane, tenant from jobs
    where state = 'held' and wait = 'rate' and held_for = :held_for and (lane, tenant) < (tenants.lane, tenants.tenant)
    order by lane desc, tenant desc limit 1) next),
waiting as (
  select candidate.id, tenants.lane,
    row_number() over (partition by tenants.lane, tenants.tenant order by candidate.id) as place
  from tenants cross join lateral (
    select id from jobs
    where state = 'held' and wait = 'rate' and held_for = :held_for and lane = tenants.lane and tenant = tenants.tenant
      and id <> all(:but::bigint[])
    order by id limit :limit for update skip locked) candidate)
select id from waiting order by lane desc, place, id limit :limit
