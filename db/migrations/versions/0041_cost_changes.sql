alter table costs_changes
  alter column calls type bigint, alter column cached type bigint, alter column failed type bigint,
  alter column unpriced type bigint, alter column possibly_billed type bigint,
  alter column input_tokens type bigint, alter column cached_tokens type bigint,
  alter column output_tokens type bigint, alter column accepted type bigint;

-- What a call adds to the sums, or takes from them where the sign is -1. An open call adds nothing yet.
create or replace function docmill_costs_of(c calls, sign int) returns setof costs_changes
language sql immutable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    sign::bigint, (sign * (c.state = 'cached')::int)::bigint,
    (sign * (c.state in ('failed', 'in_doubt'))::int)::bigint,
    (sign * (c.state in ('answered', 'surplus') and c.cost_usd is null)::int)::bigint,
    (sign * c.possibly_billed::int)::bigint,
    (sign * coalesce(c.input_tokens, 0))::bigint, (sign * coalesce(c.cached_tokens, 0))::bigint,
    (sign * coalesce(c.output_tokens, 0))::bigint,
    sign * coalesce(c.cost_usd, 0), sign * coalesce(c.saved_usd, 0),
    case when c.state = 'surplus' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'rejected' then sign * coalesce(c.cost_usd, 0) else 0 end,
    case when c.state = 'answered' and c.wasted = 'failed' then sign * coalesce(c.cost_usd, 0) else 0 end,
    0::bigint
  where c.state <> 'intent'
$$;

create or replace function docmill_acceptance_of(j jobs, sign int) returns setof costs_changes
language sql stable as $$
  select c.started_at, c.tenant, c.feature, c.usr, c.model,
    coalesce(c.prompt, ''), coalesce(c.version, ''), coalesce(c.remedy, ''),
    0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint, 0::bigint,
    0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric, sign::bigint
  from calls c
  where c.job_id = j.id and j.state = 'done' and c.state in ('answered', 'cached') and c.purpose <> 'embed'
  order by c.attempt desc, c.try desc limit 1
$$;

-- A trigger a statement sees all its rows, as they were or as they are now; its argument is the sign. One line a day
-- is enough where it is known when days begin; in every time zone that is at a quarter of an hour.
create function docmill_note_calls() returns trigger language plpgsql as $$
begin
  insert into costs_changes
  select coalesce(date_trunc('day', started_at, (select timezone from costs_zone)),
                  date_bin('15 minutes', started_at, 'epoch')) as began, tenant, feature, usr, model, prompt, version, remedy,
    sum(calls), sum(cached), sum(failed), sum(unpriced), sum(possibly_billed), sum(input_tokens), sum(cached_tokens),
    sum(output_tokens), sum(cost_usd), sum(saved_usd), sum(surplus_usd), sum(rejected_usd), sum(failed_usd), 0
  from (select f.* from changed c cross join lateral docmill_costs_of(c, tg_argv[0]::int) f) found
  group by began, tenant, feature, usr, model, prompt, version, remedy;
  return null;
end $$;

drop trigger calls_made on calls;
drop trigger calls_changed on calls;
drop trigger calls_deleted on calls;
drop function docmill_note_costs();

create trigger calls_made after insert on calls referencing new table as changed for each statement
  execute function docmill_note_calls('1');
create trigger calls_were after update on calls referencing old table as changed for each statement
  execute function docmill_note_calls('-1');
create trigger calls_are after update on calls referencing new table as changed for each statement
  execute function docmill_note_calls('1');
create trigger calls_gone after delete on calls referencing old table as changed for each statement
  execute function docmill_note_calls('-1');
