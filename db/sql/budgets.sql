-- Budgets. A row is one window of a budget; its series is the id of the first one, for which jobs wait. What holds and
-- frees jobs stands in transitions.sql.


-- fragment: covering
-- The latest window of each budget that covers a payer: fifteen look-ups in an index, however many windows there were.
select b.*, b.window_start < docmill_window_start(b.span, clock_timestamp(), :timezone) as stale
from (values ('all', ''), ('tenant', :tenant), ('feature', :feature), ('user', :usr), ('prompt', :prompt)) who(scope, subject)
cross join (values ('day'), ('month'), ('total')) spans(span)
cross join lateral (select * from budgets where budgets.scope = who.scope and budgets.subject = who.subject
                    and budgets.span = spans.span order by window_start desc limit 1) b

-- name: reserve
-- In all of them or in none, and in none whose window is over. A cap of 0 stops what costs nothing, too.
with covering as materialized ({covering}),
locked as materialized (
  select b.* from budgets b where b.id in (select id from covering) order by b.id for update),
fits as (
  select (select bool_and(cap_usd > 0 and spent_usd + reserved_usd + :need_usd::numeric <= cap_usd) from locked)
     and not (select bool_or(stale) from covering) as every),
taken as (
  update budgets set reserved_usd = reserved_usd + :need_usd::numeric,
    warned = case when (spent_usd + reserved_usd + :need_usd::numeric) * 100 >= cap_usd * :nearly_spent
                  then greatest(warned, :nearly_spent) else warned end
  where id in (select id from locked) and (select every from fits) returning id)
select locked.id, coalesce(locked.series, locked.id) as series, locked.scope, locked.subject, locked.span,
  locked.policy, locked.cap_usd, locked.spent_usd, locked.reserved_usd, locked.warned, covering.stale,
  taken.id is not null as reserved
from locked join covering using (id) left join taken using (id) order by id

-- name: affords
select coalesce(bool_and(cap_usd > 0 and (stale or spent_usd + reserved_usd + :need_usd::numeric <= cap_usd)), true)
from ({covering}) covering

-- name: exist
select exists (select from budgets)

-- name: note_spent
update budgets set warned = :spent where id = any(:ids) and warned < :spent returning id

-- name: settle
update budgets set reserved_usd = reserved_usd - :reserved_usd, spent_usd = spent_usd + :cost_usd
where id = any(:ids)

-- name: roll
insert into budgets (scope, subject, span, policy, cap_usd, window_start, series)
select scope, subject, span, policy, cap_usd, docmill_window_start(span, clock_timestamp(), :timezone),
  coalesce(series, id) from budgets where id = any(:ids) order by id
on conflict (scope, subject, span, window_start) do nothing returning id

-- name: awaited
-- One step along an index for each budget that somebody waits for, however many wait.
with recursive awaited as (
  (select budget_id from jobs where state = 'held' and wait = 'budget' and budget_id is not null order by budget_id limit 1)
  union all
  select (select budget_id from jobs where state = 'held' and wait = 'budget' and budget_id > awaited.budget_id
          order by budget_id limit 1) from awaited where awaited.budget_id is not null)
select awaited.budget_id as series, b.id,
  b.window_start < docmill_window_start(b.span, clock_timestamp(), :timezone) as stale
from awaited left join lateral (
  select * from budgets where coalesce(series, id) = awaited.budget_id order by window_start desc limit 1) b on true
where awaited.budget_id is not null

-- name: lock
select from budgets where id = any(:ids) order by id for update


-- name: latest
select id from budgets where scope = :scope and subject = :subject and span = :span
order by window_start desc limit 1

-- name: change
update budgets set cap_usd = :cap_usd, policy = :policy, warned = 0, told = 0 where id = :id

-- name: lock_calls
-- So that each call is either counted in a new budget or sees it.
lock table calls in share row exclusive mode

-- name: add
insert into budgets (scope, subject, span, policy, cap_usd, window_start)
values (:scope, :subject, :span, :policy, :cap_usd, case when :span = 'total' then clock_timestamp()
  else docmill_window_start(:span, clock_timestamp(), :timezone) end) returning id, window_start

-- name: adopt_calls
-- What open calls may cost.
update calls set budgets = budgets || :id::bigint
where (state = 'intent' or possibly_billed) and reserved_usd is not null and started_at >= :since
  and case :scope when 'all' then true when 'tenant' then tenant = :subject
      when 'feature' then feature = :subject when 'prompt' then prompt = :subject else usr = :subject end
returning reserved_usd

-- name: begin
update budgets set spent_usd = :spent_usd, reserved_usd = :reserved_usd where id = :id

-- name: remove
delete from budgets where scope = :scope and subject = :subject and span = :span

-- name: any_untold
select exists (select from budgets where warned > told)

-- name: take_untold
-- Whoever takes one has a minute to tell it; then it is another's. What nobody took within a day is no news.
update budgets set tell_at = clock_timestamp() + interval '1 minute'
where warned > told and tell_at <= clock_timestamp()
  and (span <> 'day' or window_start > clock_timestamp() - interval '2 days')
returning id, coalesce(series, id) as series, scope, subject, span, policy, warned as percent, window_start as since,
  cap_usd, spent_usd, reserved_usd

-- name: note_told
update budgets set told = greatest(told, :percent), tell_at = clock_timestamp() where id = :id and warned >= :percent
