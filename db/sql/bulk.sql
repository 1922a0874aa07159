-- What it costs to try jobs again.


-- name: price_of_retry
-- A job whose present attempt has its reply, and that failed of circumstances, uses it. What the others cost is what
-- they did cost before, or what jobs of the same prompt did, lately: among the last that ended.
with those as (select * from jobs where id = any(:ids::bigint[])),
spent as (
  select t.id, sum(c.cost_usd) as usd, bool_or(c.attempt = t.attempt and c.state in ('answered', 'cached')
    and t.failure ->> 'kind' = any(:same_attempt) and (c.state = 'cached' or exists (select from exchanges e where e.call_id = c.id and e.reply is not null))) as replied
  from those t join calls c on c.job_id = t.id group by t.id),
usual as (
  select p.prompt, avg(made.usd) as usd
  from (select distinct t.tenant, t.prompt from those t left join spent s on s.id = t.id
        where t.prompt is not null and coalesce(s.usd, 0) = 0) p
  cross join lateral (
    select sum(c.cost_usd) as usd
    from (
      select id from (
        select id, prompt, state from jobs where tenant = p.tenant and {has_ended} order by finished_at desc limit 2000) latest
      where prompt = p.prompt and state = 'done' limit 200) d
    cross join lateral (select cost_usd from calls where job_id = d.id offset 0) c group by d.id) made
  group by p.prompt),
priced as (
  select not :fresh and coalesce(s.replied, false) as free,
    coalesce(nullif(s.usd, 0), u.usd) as usd
  from those t left join spent s on s.id = t.id left join usual u on u.prompt = t.prompt)
select count(*) as jobs, count(*) filter (where free) as free, coalesce(sum(usd) filter (where not free), 0) as usd,
  count(*) filter (where not free and usd is null) as unknown
from priced
