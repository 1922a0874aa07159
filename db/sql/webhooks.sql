-- Webhooks: who is told of what. Triggers write deliveries where events happen (functions.sql); upkeep sends them.


-- fragment: webhook_row
id, tenant, name, url, events, of_operator, created_at

-- name: add
insert into webhooks (tenant, name, url, events, secret, of_operator)
select :tenant, :name, :url, :events::text[], :secret, :of_operator
where (select count(*) from webhooks where tenant = :tenant) < :most
returning {webhook_row}

-- name: silence
-- It is told of nothing more; what ends meanwhile need not wait for it.
update webhooks set events = '{}' where id = :id and (:tenant::text is null or tenant = :tenant)

-- name: forget_deliveries
delete from webhook_deliveries where ctid = any(array(
  select ctid from webhook_deliveries where webhook_id = :id limit :limit))

-- name: remove
delete from webhooks where id = :id


-- name: exist
select exists (select from webhooks)

-- name: tell_of_runs
-- Of the runs in which something ended, those in which all has: that take no more, or have as many as were expected.
-- Both are seen as of one moment, so that the last job to end, whichever it is, is found with all others.
with marked as (delete from webhook_runs returning run_id),
whole as (
  select runs.id, runs.tenant from runs
  where id in (select run_id from marked)
    and not exists (select from jobs where run_id = runs.id and state in ('queued', 'running', 'held'))
    and (closed_at is not null
         or (expected is not null and docmill_documents_of(runs.id) >= expected)))
insert into webhook_deliveries (webhook_id, event, payload)
select w.id, 'run.ended',
  docmill_payload('run.ended', jsonb_build_object('run_id', whole.id, 'state', 'ended'))
from whole join webhooks w on w.tenant = whole.tenant and 'run.ended' = any(w.events)
for key share of w

-- name: take_due
-- For whoever sends them next, who has a while to tell what came of it: then they are another's. Of each webhook and of
-- each tenant a few, with those that are under way there, and the tenants in turn: one that is slow holds up no other.
with busy as (
  select w.id, w.tenant, coalesce(under_way.number, 0) as number
  from webhooks w left join unnest(:webhooks::bigint[], :numbers::int[]) as under_way (id, number) using (id)),
found as (
  select due.id, due.due_at, busy.tenant from busy cross join lateral (
    select d.id, d.due_at from webhook_deliveries d
    where d.webhook_id = busy.id and d.due_at <= clock_timestamp()
    order by d.due_at limit greatest(:each - busy.number, 0) for update skip locked) due),
turns as (
  select id, row_number() over (partition by tenant order by due_at)
    + (select sum(number) from busy where busy.tenant = found.tenant) as turn from found),
due as (select id from turns where turn <= :of_tenant order by turn limit :limit)
update webhook_deliveries d
set tries = tries + 1, due_at = clock_timestamp() + make_interval(secs => :lease_s)
from due, webhooks w where d.id = due.id and w.id = d.webhook_id
returning d.id, d.webhook_id, d.message, d.payload, d.tries, w.url, w.secret

-- name: note_delivered
update webhook_deliveries set state = 'delivered', due_at = null, delivered_at = clock_timestamp(), failure = null
from unnest(:ids::bigint[]) as told(id) where webhook_deliveries.id = told.id

-- name: note_failed
-- It is tried again, later each time; or given up, once that went on for a day.
update webhook_deliveries set http_status = :status, failure = :failure,
  state = case when clock_timestamp() >= give_up_at then 'failed' else 'waiting' end,
  due_at = case when clock_timestamp() >= give_up_at then null
    else least(give_up_at, clock_timestamp() + make_interval(secs => :pause_s)) end
where id = :id and tries = :tries and state = 'waiting'

-- name: resend
-- Anew, for a day: one delivery, whatever became of it, or all that were given up.
update webhook_deliveries set state = 'waiting', tries = 0, due_at = clock_timestamp(), delivered_at = null,
  http_status = null, failure = null, give_up_at = clock_timestamp() + interval '1 day'
where webhook_id = :webhook and (id = :id or (:id::bigint is null and state = 'failed'))

-- name: forget_old
delete from webhook_deliveries where ctid = any(array(
  select ctid from webhook_deliveries
  where due_at is null and created_at < clock_timestamp() - make_interval(secs => :older_s) limit :limit))
