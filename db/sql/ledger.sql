-- The ledger: one row a call, with an intent before the request. What opens and closes a call moves its job, too, and
-- stands in transitions.sql.


-- name: note_cached
-- A call that was not made, for each of the `jobs`, because its answer was known: it saved what the first one cost.
-- Part 0 is the whole document. Another `part` has the reply with it, as the answer is put together from those, and is
-- noted once, while its one job is where the fence says.
with noted as (
  insert into calls (id, job_id, purpose, attempt, part, try, state, tenant, feature, usr, prompt, version,
    content_hash, input_hash, provider, account, model, cost_usd, saved_usd, cache_layer, finished_at)
  select gen_random_uuid(), id, case when :part = 0 then purpose else 'part' end, attempt, :part,
    1 + coalesce((select max(try) from calls
      where job_id = jobs.id and attempt = jobs.attempt and part = :part), 0),
    'cached', tenant, feature, usr, prompt, version, :content_hash, coalesce(:input_hash, flight_key, ''),
    'docmill', 'cache', :model, 0, :saved_usd, :layer, clock_timestamp()
  from jobs where id = any(:jobs) and (:part = 0 or ({fence}
    and not exists (select from calls where job_id = jobs.id and purpose = 'part' and part = :part
      and state in ('intent', 'answered', 'cached') and wasted is distinct from 'rejected')))
  returning id)
insert into exchanges (call_id, request, reply)
select id, :request::jsonb, :reply::jsonb from noted where :reply::jsonb is not null

-- name: reject
update calls set wasted = 'rejected'
where job_id = :job and attempt = :attempt and state = 'answered' and purpose <> 'embed'

-- name: mark_surplus
update calls set state = 'surplus' where id = :id and state = 'answered'

-- name: previous_reply
select e.reply ->> 'text' from calls c join exchanges e on e.call_id = c.id
where c.job_id = :job and c.attempt = :attempt and c.state in ('answered', 'cached')

-- name: spare_intents
-- Rows that somebody holds just now are being told of; waiting for them could end in a deadlock.
update calls set lease_until = greatest(lease_until, clock_timestamp() + make_interval(secs => :for_s))
where ctid in (select ctid from calls where state = 'intent' for update skip locked)
