-- Answers that wait for a person. An open row is a claim; once it is decided, it is the decision.


-- fragment: claimed_by_another
exists (select from reviews r where r.job_id = j.id and r.decision is null and r.claimed_until > clock_timestamp()
        and r.desk <> :desk)

-- fragment: in_queue
from jobs j
where j.tenant = :tenant and j.state = 'needs_review' and (:prompt::text is null or j.prompt = :prompt)
  and (:feature::text is null or j.feature = :feature)


-- fragment: paid
-- Endless where the cost of a call is unknown: that may be any.
(select case when bool_or(c.possibly_billed or (c.state in ('answered', 'surplus') and c.cost_usd is null))
   then 'infinity'::numeric else coalesce(sum(c.cost_usd), 0) end from calls c where c.job_id = j.id)


-- name: queue
-- The oldest first, from behind a place on.
select j.id, coalesce(j.name, d.name) as name, j.prompt, j.version, j.feature, j.usr, j.finished_at as since, j.failure,
  j.deadline_at, r.claimed_by, r.claimed_until
from (
  select j.* {in_queue}
    and (:after_id::bigint is null or (j.finished_at, j.id) > (
      select finished_at, id from jobs where id = :after_id))
  order by j.finished_at, j.id limit :limit) j
left join documents d on d.id = j.document_id
left join reviews r on r.job_id = j.id and r.decision is null and r.claimed_until > clock_timestamp()
order by j.finished_at, j.id

-- name: dearest
-- Those first for which most was paid, or nobody knows how much, from behind a place on: of the oldest that wait, as
-- many as can be sorted by all their calls.
select j.id, coalesce(j.name, d.name) as name, j.prompt, j.version, j.feature, j.usr, j.finished_at as since, j.failure,
  j.deadline_at, r.claimed_by, r.claimed_until
from (
  select o.* from (
    select j.id, j.finished_at, {paid} as paid
    from (select j.id, j.finished_at {in_queue} order by j.finished_at, j.id limit 5000) j) o
  where :after_id::bigint is null or (-o.paid, o.finished_at, o.id) > (
    select -{paid}, j.finished_at, j.id from jobs j where j.id = :after_id)
  order by o.paid desc, o.finished_at, o.id limit :limit) o
join jobs j on j.id = o.id
left join documents d on d.id = j.document_id
left join reviews r on r.job_id = j.id and r.decision is null and r.claimed_until > clock_timestamp()
order by o.paid desc, o.finished_at, o.id

-- name: next_dearest
select j.id from (
  select j.id, j.finished_at, {paid} as paid
  from (select j.id, j.finished_at {in_queue} order by j.finished_at, j.id limit 5000) j) o
join jobs j on j.id = o.id
where j.state = 'needs_review' and not {claimed_by_another}
  and (:after_id::bigint is null or (-o.paid, o.finished_at, o.id) > (
    select -{paid}, j.finished_at, j.id from jobs j where j.id = :after_id))
order by o.paid desc, o.finished_at, o.id limit 1 for update of j skip locked

-- name: next
-- What the desk has claimed already; else the oldest that nobody has claimed, from behind a job on.
select j.id {in_queue} and not {claimed_by_another}
  and (:after_id::bigint is null or (j.finished_at, j.id) > (select finished_at, id from jobs where id = :after_id))
order by j.finished_at, j.id limit 1 for update of j skip locked

-- name: at_desk
select j.id {in_queue} and exists (
  select from reviews r where r.job_id = j.id and r.decision is null and r.desk = :desk
    and r.claimed_until > clock_timestamp())
order by j.finished_at, j.id limit 1

-- name: claim
-- Or makes a claim of one's own longer. Nothing where somebody else has it.
insert into reviews (job_id, tenant, claimed_by, desk, claimed_until)
select id, tenant, :name, :desk, clock_timestamp() + make_interval(secs => :for_s)
from jobs where id = :id and tenant = :tenant and state = 'needs_review'
on conflict (job_id) where decision is null do update
set claimed_by = excluded.claimed_by, desk = excluded.desk, claimed_until = excluded.claimed_until,
  claimed_at = case when reviews.desk = excluded.desk then reviews.claimed_at else clock_timestamp() end
where reviews.desk = excluded.desk or reviews.claimed_until <= clock_timestamp()
returning job_id

-- name: claimant
select claimed_by, claimed_until from reviews
where job_id = :id and decision is null and claimed_until > clock_timestamp() and desk <> :desk

-- name: release
update reviews set claimed_until = clock_timestamp()
where job_id = :id and desk = :desk and decision is null and claimed_until > clock_timestamp()

-- name: lock_job
-- With its latest result and its document's text, as they are decided about.
select j.id, j.state, j.epoch, j.prompt, j.version, j.failure, j.flight_key, j.document_id, d.text, d.pages,
  d.layout, d.media_type, r.value, r.evidence, coalesce(r.revision, 0) as revision
from jobs j left join documents d on d.id = j.document_id
left join lateral (select value, evidence, revision from results where job_id = j.id order by revision desc limit 1) r
  on true
where j.id = :id and j.tenant = :tenant for update of j

-- name: add_revision
insert into results (job_id, revision, value, evidence, author)
values (:id, :revision, :value::jsonb, :evidence::jsonb, :author)

-- name: note_decision
insert into reviews (job_id, tenant, claimed_by, desk, claimed_until, decision, author, revision, seconds, note,
  overruled, changed, doubt, epoch, decided_at)
values (:id, :tenant, :author, :desk, clock_timestamp(), :decision, :author, :revision,
  (select extract(epoch from clock_timestamp() - claimed_at) from reviews
   where job_id = :id and decision is null and desk = :desk),
  :note, :overruled::jsonb, :changed::jsonb, :doubt::jsonb, :epoch, clock_timestamp())
returning id

-- name: end_claim
delete from reviews where job_id = :id and decision is null

-- name: last_of_desk
-- The latest decision of a desk, while it may be taken back.
select r.id, r.job_id, r.revision, r.decision, r.doubt, r.epoch from reviews r
where r.tenant = :tenant and r.desk = :desk and r.decision is not null and r.undone_at is null
  and r.decided_at > clock_timestamp() - make_interval(secs => :for_s)
order by r.decided_at desc limit 1

-- name: result_before
select value, evidence from results where job_id = :id and revision < :revision order by revision desc limit 1

-- name: note_undone
update reviews set undone_at = clock_timestamp() where id = :id

-- name: decided_today
select count(*) as decisions, coalesce(sum(seconds), 0)::float as seconds from (
  select seconds from reviews
  where tenant = :tenant and author = :author and decision is not null and undone_at is null
    and decided_at > clock_timestamp() - interval '12 hours' order by decided_at desc limit 5000) lately

-- name: decided_by
-- The latest decisions of an author, with what became of them.
select r.job_id, coalesce(j.name, d.name) as name, j.prompt, r.decision, r.decided_at, r.seconds, r.note, r.undone_at
from (select * from reviews where tenant = :tenant and author = :author and decision is not null
        and decided_at > clock_timestamp() - interval '12 hours' order by decided_at desc limit :limit) r
join jobs j on j.id = r.job_id left join documents d on d.id = j.document_id
order by r.decided_at desc
