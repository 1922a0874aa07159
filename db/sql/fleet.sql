-- The workers, and what they have in hand.


-- name: see_worker
-- One that takes the name of a process that did not stop in order leaves that one a row, until somebody of its place has
-- looked after what it had in hand.
with replaced as (
  insert into workers (name, queue, slots, seen_at, process)
  select process, queue, 0, '-infinity', process from workers
  where name = :name and process <> :process and split_part(process, '.', -1) = split_part(:process, '.', -1)
  on conflict (name) do nothing)
insert into workers (name, queue, slots, seen_at, unready, troubles, process)
values (:name, :queue, :slots, clock_timestamp(), :unready::jsonb, :troubles::jsonb, :process)
on conflict (name) do update set slots = excluded.slots, seen_at = excluded.seen_at, unready = excluded.unready,
  troubles = excluded.troubles, process = excluded.process

-- name: forget_worker
delete from workers where name = :name

-- name: at_work
-- Workers' processes, and those that have calls open or jobs in hand.
select process, true as worker from workers where process is not null
union select owner, false from calls where state = 'intent' and owner is not null
union select owner, false from jobs where state = 'running' and wait = 'running' and owner is not null

-- name: forget_gone
delete from workers where process = any(:gone::text[])

-- name: unready
select unready from workers
where queue = 'io' and seen_at > clock_timestamp() - make_interval(secs => :within_s)

-- name: troubles
select name, troubles from workers
where troubles <> '{}' and seen_at > clock_timestamp() - make_interval(secs => :within_s) order by name

-- name: processes
select count(*) from workers where queue = 'io' and seen_at > clock_timestamp() - make_interval(secs => :within_s)

-- name: seen
select name, queue, slots from workers
where seen_at > clock_timestamp() - make_interval(secs => :within_s) order by queue, name

-- name: room
-- Asked ten times a second while jobs wait, and so in one round trip.
select seen.*, under_way.*,
  array(select lanes.name from unnest(:lanes::text[]) lanes(name)
    where exists (select from jobs where state = 'queued' and turn = 'new' and lane = lanes.name)
      or exists (select from jobs where state = 'queued' and turn = 'begun' and lane = lanes.name)) as wanted,
  exists (select from jobs where state = 'queued' and turn = 'apart') as wanted_apart,
  exists (select from jobs where state = 'queued' and turn = 'scans') as wanted_scans
from (
  select coalesce(sum(slots) filter (where queue = 'io'), 0)::int as io,
    coalesce(sum(slots) filter (where queue = 'cpu'), 0)::int as cpu,
    coalesce(sum(slots) filter (where queue = 'ocr'), 0)::int as ocr,
    coalesce(sum(slots) filter (where queue = 'quarantine'), 0)::int as quarantine
  from workers where seen_at > clock_timestamp() - make_interval(secs => :within_s)) seen,
(select count(*) filter (where stage = any(:at_cpu) and crashes < 2) as at_cpu,
    count(*) filter (where stage = 'ocr' and crashes < 2) as scans,
    count(*) filter (where (stage = any(:at_cpu) or stage = 'ocr') and crashes >= 2) as apart,
    count(*) filter (where stage <> 'ocr') as out
  from jobs where state = 'running') under_way

-- name: is_wanted
-- Asked twice a second by each who stands by: as room, of jobs in hand, and of those that wait by their indexes. Who computes
-- is not needed for what a process has in hand, nor for short jobs; but for one whose message nobody takes, which may lie in
-- the queue of who computes: it was sent there by a process of the version before, or before its document was short.
select case :role::text
  when 'ocr' then exists (select from jobs where state = 'running' and stage = 'ocr' and crashes < :quarantined_at)
    or exists (select from jobs where state = 'queued' and turn = 'scans')
  when 'quarantine' then exists (select from jobs where state = 'running' and {quarantined})
    or exists (select from jobs where state = 'queued' and turn = 'apart')
  else exists (select from jobs where state = 'running' and wait = 'sent' and stage = any(:at_cpu)
    and crashes < :quarantined_at
    and (not ({short}) or since < clock_timestamp() - make_interval(secs => :patience_s))
    and (owner is null or since < clock_timestamp() - make_interval(secs => :forgotten_s))) end

-- name: room_for_countdown
select (select count(*) from jobs where state = 'running' and wait = 'countdown' and stage = 'complete')
  < (select coalesce(sum(slots), 0) * 0.8 from workers
     where queue = 'io' and seen_at > clock_timestamp() - make_interval(secs => :within_s))

-- name: held_for
-- The models for whose limits jobs are held: a walk along the index, one step a model.
with recursive keys as (
  (select held_for as key from jobs where state = 'held' and wait = 'rate' and held_for > '' and held_for !~ '^hold:'
   order by held_for limit 1)
  union all
  select (select held_for from jobs where state = 'held' and wait = 'rate' and held_for > keys.key and held_for !~ '^hold:'
          order by held_for limit 1) from keys where keys.key is not null)
select key from keys where key is not null

-- name: try_lock
select pg_try_advisory_xact_lock(:key)

-- name: started_s
select extract(epoch from clock_timestamp() - pg_postmaster_start_time())


-- name: server
select current_setting('server_version') as version, to_regclass('jobs') is not null as ready,
  current_user || case when rolsuper then ', a superuser: DOCMILL_DATABASE_OWNER_URL lets it be less' else '' end as role
from pg_roles where rolname = current_user
