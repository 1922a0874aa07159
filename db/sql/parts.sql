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
