-- A job as a stage sees it, in one round trip: its row, its document (the file itself only for who has to read it), and
-- the reply that the present attempt has already.


-- fragment: has_ended
-- As the indexes of what has ended say it.
state in ('done', 'needs_review', 'failed', 'cancelled')

-- fragment: job_row
j.id, j.tenant, j.feature, j.usr, j.lane, j.chain, j.document_id, j.collection, coalesce(j.prompt, '') as prompt,
  j.version, j.content_hash, j.missing, j.params, j.stage, j.epoch, j.attempt, j.purpose, j.model, j.history, j.context, j.value, j.crashes,
  j.redrives, j.flight_key, j.fresh, coalesce(j.deadline_at < clock_timestamp(), false) as overdue, j.trace,
  d.id as found, d.name, d.media_type, d.text, case when :reads_file then d.body end as body,
  d.pages, case when :reads_layout or d.short then d.layout end as layout,
  case when :reads_layout or d.short then d.warnings end as warnings, d.scans,
  :reads_layout or coalesce(d.short, false) as whole, a.call_id, a.reply

-- fragment: job_joins
left join documents d on d.id = j.document_id and (:reads_text or j.chain = 'index')
left join lateral (
  select c.id as call_id, e.reply from calls c join exchanges e on e.call_id = c.id
  where :reads_answer and c.job_id = j.id and c.attempt = j.attempt
    and c.state in ('answered', 'cached') and c.purpose <> 'embed' and c.part = 0 limit 1) a on true

-- name: load
select {job_row} from jobs j {job_joins} where j.id = :id and epoch = :epoch and stage = :stage and wait is not null

-- name: retried
-- A job that somebody wants to try again, locked; `erased` says that its attempt's reply is not there any more.
select state, stage, chain, failure ->> 'kind' as kind, deadline_at < clock_timestamp() as overdue,
  exists (select from calls c where c.job_id = jobs.id and c.attempt = jobs.attempt
    and c.state in ('answered', 'cached')
    and not exists (select from exchanges e where e.call_id = c.id)) as erased
from jobs where id = :id for update
