-- Forecasts, kept so that they can be held against what was spent.


-- name: keep
insert into forecasts (load, formula, day_p50_usd, day_p95_usd, month_p50_usd, month_p95_usd)
values (:load::jsonb, :formula, :day_p50_usd, :day_p95_usd, :month_p50_usd, :month_p95_usd) returning id

-- name: score
-- The last one, and what was spent since, within a month.
select forecasts.*, least(:days_a_month::int, extract(epoch from clock_timestamp() - made_at) / 86400) as days,
  spent.usd, spent.unpriced
from (select * from forecasts order by id desc limit 1) forecasts
cross join lateral (
  select coalesce(sum(cost_usd), 0) as usd, count(*) filter (where cost_usd is null) as unpriced from calls
  where state in ('answered', 'surplus') and started_at >= made_at
    and started_at < made_at + make_interval(days => :days_a_month::int)) spent
