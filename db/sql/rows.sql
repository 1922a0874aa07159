-- An answer's lists, page by page: of thousands of rows nobody needs all at once.


-- name: page
-- Of the latest result. A place that is no list has neither items nor a total; its evidence is by the place in the
-- answer, as `bookings.17.amount`. Postgres counts -1 from a list's end, and takes 01 and +1: a place has one name only,
-- by which its evidence is known.
with latest as (
  select case when not exists (
      select from unnest(:path::text[]) with ordinality as each(step, at)
      where step !~ '^(0|[1-9][0-9]*)$' and step ~ '[0-9]$'
        and jsonb_typeof(value #> trim_array(:path::text[], cardinality(:path::text[]) - at::int + 1)) = 'array')
    then value #> :path::text[] end as list, evidence
  from results where job_id = :job order by revision desc limit 1),
found as (select case when jsonb_typeof(list) = 'array' then list end as list, evidence from latest)
select jsonb_array_length(list) as total,
  (select jsonb_agg(item order by at)
    from jsonb_array_elements(list) with ordinality as each(item, at)
    where at > :first::int and at <= :first::int + :most::int) as items,
  (select jsonb_object_agg(place, stands) from jsonb_each(evidence) as each(place, stands)
    where starts_with(place, :prefix::text)
      and substring(substr(place, length(:prefix::text) + 1) from '^[0-9]{1,9}')::int
        between :first::int and :first::int + :most::int - 1) as evidence
from found
