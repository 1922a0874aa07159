-- Budgets. A row is one window of a budget; its series is the id of the first window, which held jobs name.
alter table budgets
  add column series bigint,
  add column warned int not null default 0,   -- the highest threshold reached in this window, in percent
  add column told   int not null default 0;   -- and the highest that the webhook has taken

create function docmill_window_start(span text, at timestamptz, zone text) returns timestamptz
language sql stable as $$
  select case when span = 'total' then '-infinity' else date_trunc(span, at, zone) end
$$;

-- What the call of a job that waits for a budget would reserve. It stays, with budget_id, until the call is open:
-- whoever was set free and has not reserved yet counts as admitted.
alter table jobs add column need_usd numeric(20, 10);
drop index jobs_budget;
create index jobs_budget on jobs (budget_id, lane desc, id) where wait = 'budget';
create index jobs_budget_need on jobs (budget_id, need_usd) where wait = 'budget';
create index jobs_admitted on jobs (budget_id) where budget_id is not null and wait in ('unsent', 'sent');

-- The ledger says of money that brought nothing why: the attempt's reply was rejected, or its job failed. A surplus
-- answer is a state of its own.
alter table calls add column wasted text check (wasted in ('rejected', 'failed'));
create index calls_doubtful on calls (started_at) where state = 'intent' or possibly_billed;

-- The roll-up. Every change of a call adds a line to costs_changes, also when a person makes it; upkeep folds these
-- into costs_daily. A report sums both, in one statement, and so is exact at any moment.
drop table costs_daily;
create table costs_daily (
  day date not null, tenant text not null, feature text not null, usr text not null,
  model text not null, prompt text not null, version text not null, remedy text not null,
  calls bigint not null, cached bigint not null, failed bigint not null,
  unpriced bigint not null, possibly_billed bigint not null,
  input_tokens bigint not null, cached_tokens bigint not null, output_tokens bigint not null,
  cost_usd numeric not null, saved_usd numeric not null,
  surplus_usd numeric not null, rejected_usd numeric not null, failed_usd numeric not null,
  wasted_usd numeric generated always as (surplus_usd + rejected_usd + failed_usd) stored,
  accepted bigint not null,
  primary key (day, tenant, feature, usr, model, prompt, version, remedy)
);

create table costs_changes (
  started_at timestamptz not null, tenant text not null, feature text not null, usr text not null,
  model text not null, prompt text not null, version text not null, remedy text not null,
  calls int not null, cached int not null, failed int not null, unpriced int not null, possibly_billed int not null,
  input_tokens int not null, cached_tokens int not null, output_tokens int not null,
  cost_usd numeric not null, saved_usd numeric not null,
  surplus_usd numeric not null, rejected_usd numeric not null, failed_usd numeric not null,
  accepted int not null
);

create table costs_zone (                     -- where the days of costs_daily begin
  one boolean primary key default true check (one), timezone text not null
);

-- What a call adds to the sums, or takes from them where the sign is -1. An open call adds nothing yet.
create function docmill_costs_of(c calls, sign int) returns setof costs_changes language sql immutable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    sign, sign * (c.state = 'cached')::int, sign * (c.state in ('failed', 'in_doubt'))::int,
    sign * (c.state in ('answered', 'surplus') and c.cost_usd is null)::int, sign * c.possibly_billed::int,
    sign * coalesce(c.input_tokens, 0), sign * coalesce(c.cached_tokens, 0), sign * coalesce(c.output_tokens, 0),
    sign * coalesce(c.cost_usd, 0), sign * coalesce(c.saved_usd, 0),
    case when c.state = 'surplus' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'rejected' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'failed' then sign * coalesce(c.cost_usd, 0) else 0 end,
    0
  where c.state <> 'intent'
$$;

-- An accepted document counts where the call stands that answered it.
create function docmill_acceptance_of(j jobs, sign int) returns setof costs_changes language sql stable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    0, 0, 0, 0, 0, 0, 0, 0, 0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric, sign
  from calls c
  where c.job_id = j.id and j.state = 'done' and c.state in ('answered', 'cached') and c.purpose <> 'embed'
  order by c.attempt desc, c.try desc limit 1
$$;

create function docmill_note_costs() returns trigger language plpgsql as $$
begin
  if tg_op <> 'INSERT' then insert into costs_changes select * from docmill_costs_of(old, -1); end if;
  if tg_op <> 'DELETE' then insert into costs_changes select * from docmill_costs_of(new, 1); end if;
  return null;
end $$;

create trigger calls_made after insert on calls for each row when (new.state <> 'intent')
  execute function docmill_note_costs();
create trigger calls_changed after update on calls for each row
  when (old.state <> 'intent' or new.state <> 'intent') execute function docmill_note_costs();
create trigger calls_deleted after delete on calls for each row when (old.state <> 'intent')
  execute function docmill_note_costs();

-- A job's end tells what its answers were worth; a retry takes it back.
create function docmill_note_end() returns trigger language plpgsql as $$
begin
  if new.state in ('failed', 'cancelled') then
    update calls set wasted = 'failed' where job_id = new.id and state = 'answered' and wasted is null;
  elsif old.state in ('failed', 'cancelled') then
    update calls set wasted = null where job_id = new.id and wasted = 'failed';
  end if;
  insert into costs_changes select * from docmill_acceptance_of(old, -1);
  insert into costs_changes select * from docmill_acceptance_of(new, 1);
  return null;
end $$;

create trigger jobs_ended after update of state on jobs for each row
  when (old.state is distinct from new.state
        and (old.state in ('done', 'failed', 'cancelled') or new.state in ('done', 'failed', 'cancelled')))
  execute function docmill_note_end();

-- What was there before.
insert into costs_changes
select found.* from calls c cross join lateral docmill_costs_of(c, 1) found
union all
select found.* from jobs j cross join lateral docmill_acceptance_of(j, 1) found where j.state = 'done';
