-- How good a prompt's answers are: of the latest jobs of a tenant that ended, `most` of them at most, so that it takes as
-- long however many jobs there are.


-- fragment: latest_ends
latest as materialized (
  select j.id, j.prompt, coalesce(j.version, '') as version, j.state, j.attempt, j.purpose, j.history, j.finished_at,
    extract(epoch from j.finished_at - j.created_at)::float as took_s,
    j.state = 'needs_review' or exists (
      select from reviews r where r.job_id = j.id and r.decision is not null) as to_person
  from (select * from jobs where tenant = :tenant
          and state in ('done', 'needs_review', 'failed', 'cancelled') and finished_at > :since::timestamptz
        order by finished_at desc limit :most) j
  where j.prompt is not null and j.state <> 'cancelled' and (:prompt::text is null or j.prompt = :prompt))

-- fragment: decided_of_prompt
-- Decisions that were not taken back, the latest first.
decided as materialized (
  select r.id, r.job_id, coalesce(j.version, '') as version, r.decision, r.author, r.decided_at, r.overruled, r.changed,
    r.note, j.document_id, j.name, j.params
  from (select * from reviews where tenant = :tenant and decision is not null and decided_at > :since::timestamptz
        order by decided_at desc limit :most) r
  join jobs j on j.id = r.job_id
  where r.undone_at is null and j.prompt = :prompt)

-- name: versions
with {latest_ends}
select prompt, version, count(*) as ended, count(*) filter (where state = 'done') as accepted,
  count(*) filter (where state = 'done' and attempt = 0 and not to_person) as first_try,
  count(*) filter (where purpose = 'escalation') as escalated, count(*) filter (where to_person) as to_person,
  count(*) filter (where state = 'failed') as failed,
  percentile_cont(0.5) within group (order by took_s) as p50_s,
  percentile_cont(0.95) within group (order by took_s) as p95_s
from latest group by prompt, version order by prompt, version

-- name: days
with {latest_ends}
select (finished_at at time zone cast(:timezone as text))::date as day, count(*) as ended,
  count(*) filter (where state = 'done') as accepted, count(*) filter (where to_person) as to_person,
  count(*) filter (where state = 'failed') as failed
from latest group by 1 order by 1 desc

-- name: failing
-- By check: what it says, with … for each number and for what it quotes, and * for the place in a list.
with {latest_ends},
told as (
  select id, version, split_part(problem, ': ', 1) as path,
    case when strpos(problem, ': ') > 0 then substr(problem, strpos(problem, ': ') + 2) else problem end as sentence
  from latest
  cross join lateral jsonb_array_elements(case jsonb_typeof(history) when 'array' then history else '[]' end) entry
  cross join lateral jsonb_array_elements_text(
    case jsonb_typeof(entry -> 'problems') when 'array' then entry -> 'problems' else '[]' end) problem),
alike as (
  select id, version, left(regexp_replace(path, '\.[0-9]+', '.*', 'g'), 200) as path,
    left(regexp_replace(left(sentence, 1000), '''[^'']*''|"[^"]*"|[0-9]+', '…', 'g'), 200) as sentence from told)
select version, path, sentence, count(distinct id) as jobs, (array_agg(distinct id order by id desc))[1 : 5] as latest
from alike group by version, path, sentence order by jobs desc limit 100

-- name: overruled
-- Checks of which a person said that they were wrong.
with {decided_of_prompt},
told as (
  select job_id, version, problem from decided cross join lateral jsonb_array_elements_text(
    case jsonb_typeof(overruled) when 'array' then overruled else '[]' end) problem)
select version, left(regexp_replace(split_part(problem, ': ', 1), '\.[0-9]+', '.*', 'g'), 200) as path,
  count(distinct job_id) as jobs
from told group by 1, 2

-- name: corrected
-- Fields that people corrected, with * for the place in a list.
with {decided_of_prompt},
told as (
  select job_id, version, left(regexp_replace(path, '\.[0-9]+', '.*', 'g'), 200) as path from decided
  cross join lateral jsonb_array_elements_text(
    case jsonb_typeof(changed) when 'array' then changed else '[]' end) path)
select version, path, count(distinct job_id) as jobs, (array_agg(distinct job_id order by job_id desc))[1 : 5] as latest
from told group by version, path order by jobs desc limit 100

-- name: cases
-- Answers that a person stands for.
with {decided_of_prompt}
select c.job_id, c.version, c.decision, c.author, c.decided_at, c.note, c.document_id, c.params,
  coalesce(c.name, d.name) as name
from (select distinct on (job_id) * from decided where decision <> 'reject' order by job_id, decided_at desc) c
left join documents d on d.id = c.document_id
order by c.decided_at desc limit :limit
