-- Calls about parts of a document. A part's answer is the job's, whichever attempt brought it, until it is rejected.


-- name: standing
-- What there is of each part: an answer, an open call, and calls in doubt of the present attempt.
select part, bool_or(state in ('answered', 'cached') and wasted is distinct from 'rejected'
    and exists (select from exchanges e where e.call_id = calls.id and e.reply is not null)) as answered,
  bool_or(state = 'intent') as open, count(*) filter (where state = 'in_doubt' and attempt = :attempt) as doubts
from calls where job_id = :job and purpose = 'part' group by part

-- name: replies
select distinct on (c.part) c.part, e.reply ->> 'text' as words, e.reply ->> 'finish_reason' as finish_reason,
  c.input_hash, c.content_hash, c.model, c.cost_usd, c.state
from calls c join exchanges e on e.call_id = c.id
where c.job_id = :job and c.purpose = 'part' and c.part = any(:parts::int[]) and e.reply is not null
  and c.state in ('answered', 'cached') and c.wasted is distinct from 'rejected'
order by c.part, c.started_at

-- name: rejected_reply
select e.reply ->> 'text' from calls c join exchanges e on e.call_id = c.id
where c.job_id = :job and c.purpose = 'part' and c.part = :part and c.state in ('answered', 'cached')
order by c.started_at desc limit 1

-- name: reject
update calls set wasted = 'rejected'
where job_id = :job and purpose = 'part' and part = any(:parts::int[]) and state in ('answered', 'cached')

-- name: note_cached
-- A part whose answer was known: a call that was not made, with the reply, as the whole is put together from it.
with noted as (
  insert into calls (id, job_id, purpose, attempt, part, try, state, tenant, feature, usr, prompt, version,
    content_hash, input_hash, provider, account, model, cost_usd, saved_usd, cache_layer, finished_at)
  select gen_random_uuid(), id, 'part', attempt, :part,
    1 + coalesce((select max(try) from calls where job_id = jobs.id and attempt = jobs.attempt and part = :part), 0),
    'cached', tenant, feature, usr, prompt, version, :content_hash, :input_hash,
    'docmill', 'cache', :model, 0, :saved_usd, :layer, clock_timestamp()
  from jobs where {fence}
    and not exists (select from calls where job_id = jobs.id and purpose = 'part' and part = :part
      and state in ('intent', 'answered', 'cached') and wasted is distinct from 'rejected')
  returning id)
insert into exchanges (call_id, request, reply) select id, :request::jsonb, :reply::jsonb from noted
