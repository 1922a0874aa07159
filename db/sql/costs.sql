-- The roll-up of costs. Triggers write each change of a call to costs_changes (functions.sql); whoever makes it.


-- fragment: unfolded
-- What is rolled up nowhere yet.
select (started_at at time zone cast(:timezone as text))::date, tenant, feature, usr, model, prompt, version, remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd
from costs_changes

-- name: rolled
select day, tenant, feature, usr, model, prompt, version, remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd
from costs_daily
union all
{unfolded}

-- name: rolled_without_users
select day, tenant, feature, null as usr, model, prompt, version, remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd
from costs_without_users
union all
{unfolded}

-- name: rolled_of_users
select day, tenant, feature, usr, null as model, null as prompt, null as version, null as remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd
from costs_of_users
union all
{unfolded}

-- fragment: called
-- The same from the rows themselves, where days begin elsewhere than in the roll-up.
select (started_at at time zone cast(:timezone as text))::date as day, tenant, feature, usr, model, prompt, version, remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd
from (
  select found.* from calls cross join lateral docmill_costs_of(calls, 1) found
  union all
  select found.* from jobs cross join lateral docmill_acceptance_of(jobs, 1) found where jobs.state = 'done') found

-- fragment: added
-- What is `taken` goes to the days that it belongs to.
insert into costs_daily (day, tenant, feature, usr, model, prompt, version, remedy,
  calls, cached, failed, unpriced, possibly_billed, input_tokens, cached_tokens, output_tokens, accepted,
  cost_usd, saved_usd, surplus_usd, rejected_usd, failed_usd)
select day, tenant, feature, usr, model, prompt, version, remedy,
  sum(calls), sum(cached), sum(failed), sum(unpriced), sum(possibly_billed), sum(input_tokens), sum(cached_tokens),
  sum(output_tokens), sum(accepted), sum(cost_usd), sum(saved_usd), sum(surplus_usd), sum(rejected_usd),
  sum(failed_usd)
from taken group by 1, 2, 3, 4, 5, 6, 7, 8 order by 1, 2, 3, 4, 5, 6, 7, 8
on conflict (day, tenant, feature, usr, model, prompt, version, remedy) do update set
  calls = costs_daily.calls + excluded.calls, cached = costs_daily.cached + excluded.cached,
  failed = costs_daily.failed + excluded.failed, unpriced = costs_daily.unpriced + excluded.unpriced,
  possibly_billed = costs_daily.possibly_billed + excluded.possibly_billed,
  input_tokens = costs_daily.input_tokens + excluded.input_tokens,
  cached_tokens = costs_daily.cached_tokens + excluded.cached_tokens,
  output_tokens = costs_daily.output_tokens + excluded.output_tokens,
  accepted = costs_daily.accepted + excluded.accepted, cost_usd = costs_daily.cost_usd + excluded.cost_usd,
  saved_usd = costs_daily.saved_usd + excluded.saved_usd, surplus_usd = costs_daily.surplus_usd + excluded.surplus_usd,
  rejected_usd = costs_daily.rejected_usd + excluded.rejected_usd,
  failed_usd = costs_daily.failed_usd + excluded.failed_usd

-- name: called
{called}

-- name: zone
select timezone from costs_zone

-- name: keep_zone
insert into costs_zone (timezone) select :timezone where not exists (select from costs_zone)

-- name: fold
with changes as (
  delete from costs_changes where ctid = any(array(select ctid from costs_changes limit :limit)) returning *),
taken as (
  select (started_at at time zone (select timezone from costs_zone))::date as day, changes.* from changes),
added as ({added})
select count(*) from changes

-- name: lock_ledger
lock table calls, jobs, costs_changes in share row exclusive mode

-- name: forget_roll_up
with changes as (delete from costs_changes), days as (delete from costs_daily) delete from costs_zone

-- name: forget_sums
-- By now they are all of nothing.
with sums as (delete from costs_of_users) delete from costs_without_users

-- name: roll_up
with taken as ({called}) {added}

-- name: large_groups
-- So that groups are hashed, and not sorted on disk.
select set_config('work_mem', '64MB', true)

-- name: prompt_is_in_ledger
select exists (select from costs_daily where prompt = :prompt)
  or exists (select from costs_changes where prompt = :prompt)
