-- An answer's lists, page by page: of thousands of rows nobody needs all at once.


-- name: page
-- Of the latest result. A place that is no list has neither items nor a total; its evidence is by the place in the
-- answer, as `bookings.17.amount`.
with latest as (
  select value #> :path::text[] as list, evidence from results where job_id = :job order by revision desc limit 1),
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
