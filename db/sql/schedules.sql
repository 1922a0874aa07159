-- Schedules, and the slots that were run.


-- name: add
insert into schedules (name, cron, time_zone, submit, catch_up, next_at, tenant)
values (:name, :cron, :time_zone, :submit::jsonb, :catch_up, :next_at, :tenant) on conflict (name) do nothing

-- name: remove
delete from schedules where name = :name

-- name: put_off
update schedules set paused = coalesce(:paused, paused), next_at = coalesce(:next_at, next_at) where name = :name

-- name: due
select name from schedules where not paused and next_at <= :now order by next_at

-- name: lock_due
select name, cron, time_zone, submit, paused, catch_up, next_at, tenant from schedules
where name = :name and not paused and next_at <= :now for update skip locked

-- name: take_slot
insert into slots (name, slot) values (:name, :slot) on conflict do nothing

-- name: note_slot
update slots set jobs = :jobs, failure = :failure where name = :name and slot = :slot

-- name: slots_of
-- The latest slots, each with the run that its jobs are: the first that was begun after it.
select s.slot, s.at, s.jobs, s.failure, r.id as run_id
from (select * from slots where name = :name order by at desc limit :limit) s
join schedules w on w.name = s.name
left join lateral (
  select id from (select id, name, cause, created_at from runs where tenant = w.tenant order by id desc limit :most) r
  where s.jobs > 0 and r.name = :name and r.cause = 'schedule' and r.created_at >= s.at order by id limit 1) r on true
order by s.at desc
