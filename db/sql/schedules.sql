-- Schedules, and the slots that were run.


-- name: add
insert into schedules (name, cron, time_zone, submit, catch_up, next_at)
values (:name, :cron, :time_zone, :submit::jsonb, :catch_up, :next_at) on conflict (name) do nothing

-- name: remove
delete from schedules where name = :name

-- name: put_off
update schedules set paused = coalesce(:paused, paused), next_at = coalesce(:next_at, next_at) where name = :name

-- name: due
select name from schedules where not paused and next_at <= :now order by next_at

-- name: lock_due
select name, cron, time_zone, submit, paused, catch_up, next_at from schedules
where name = :name and not paused and next_at <= :now for update skip locked

-- name: take_slot
insert into slots (name, slot) values (:name, :slot) on conflict do nothing

-- name: note_slot
update slots set jobs = :jobs, failure = :failure where name = :name and slot = :slot
