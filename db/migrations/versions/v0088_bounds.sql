-- What is accepted runs: jobs of the lane `batch`, which no worker takes, run as any others, and no more are taken.
update jobs set lane = 'bulk' where lane = 'batch';
alter table jobs drop constraint jobs_lane_check;
alter table jobs add constraint jobs_lane_check check (lane in ('interactive', 'bulk'));

create function docmill_refuse(field text, rule text, remedy text) returns void language plpgsql as $$
begin
  raise exception 'docmill_submit: %: %', field, rule
    using errcode = 'invalid_parameter_value', hint = remedy;
end $$;

-- A text that has a place in one line. What is wrong with it, or null.
create function docmill_wrong_text(value text) returns text immutable language sql as $$
  select case
    when length(value) > 200 then format('it has %s characters', length(value))
    when value ~ '[\x01-\x1f\x7f]' then 'it has control characters'
  end
$$;

create function docmill_wrong_params(params jsonb) returns text immutable language sql as $$
  select case
    when jsonb_typeof(params) <> 'object' then format('it is of type %s', jsonb_typeof(params))
    when octet_length(params::text) > 100000 then format('it has %s bytes', octet_length(params::text))
    when params @? 'strict $.**{20} ? (@.type() == "array" || @.type() == "object")' then 'it is nested too deep'
    when params @? 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))' then 'a number is too large'
  end
$$;

-- The bounds of docmill/bounds.py, for callers in any language. Raises invalid_parameter_value.
create function docmill_check_submit(
  prompt text, name text, version text, tenant text, feature text, usr text, lane text, deadline_at timestamptz,
  idem_key text, params jsonb
) returns void language plpgsql as $$
declare
  short constant text := 'a text of at most 200 characters, without control characters';
  field text;
  rule  text;
begin
  select f, r into field, rule from (values
    ('prompt', case when $1 = '' then 'it is empty' when $1 is null then 'it is null' end),
    ('tenant', case when $4 is null then 'it is null' end),
    ('feature', case when $5 is null then 'it is null' end),
    ('usr', case when $6 is null then 'it is null' end),
    ('idem_key', case when $9 = '' then 'it is empty' end),
    ('prompt', docmill_wrong_text($1)), ('name', docmill_wrong_text($2)), ('version', docmill_wrong_text($3)),
    ('tenant', docmill_wrong_text($4)), ('feature', docmill_wrong_text($5)), ('usr', docmill_wrong_text($6)),
    ('idem_key', docmill_wrong_text($9))
  ) as checked (f, r) where r is not null limit 1;
  if found then
    perform docmill_refuse(field, rule, short);
  end if;
  if $7 is null or $7 not in ('interactive', 'bulk') then
    perform docmill_refuse('lane', 'there is no such lane', 'interactive or bulk');
  end if;
  if $8 not between clock_timestamp() - interval '1 day' and clock_timestamp() + interval '36600 days' then
    perform docmill_refuse(
      'deadline', 'it is no time to wait for', 'a time within a hundred years from now, and not long past; null for none');
  end if;
  rule := docmill_wrong_params($10);
  if rule is not null then
    perform docmill_refuse('params', rule,
      'an object of at most 100 KB, nested at most 20 levels deep, with numbers of at most 308 digits');
  end if;
end $$;

create or replace function docmill_submit_file(
  prompt text, body bytea, media_type text, name text, version text, tenant text, feature text, usr text,
  lane text, deadline_at timestamptz, idem_key text, params jsonb
) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
  -- Parameters by position: their names are those of columns.
  digest bytea;
  what   bytea;
  document bigint;
  job      bigint;
  first    bytea;
begin
  perform docmill_check_submit($1, $4, $5, $6, $7, $8, $9, $10, $11, $12);
  if $2 is null or octet_length($2) > 52428800 then
    perform docmill_refuse('document', case when $2 is null then 'it is null' else 'it is too large' end,
      'a document of at most 50 MB');
  end if;
  digest := sha256($2);
  what := sha256(convert_to(jsonb_build_array($1, $5, $7, $8, $9, $12, encode(digest, 'hex'))::text, 'UTF8'));

  insert into documents (tenant, sha256, name, media_type, body) values ($6, digest, $4, $3, $2)
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body)
  returning id into document;

  insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, idem_key, input_hash, params,
                    deadline_at)
  values ($6, $7, $8, $9, document, $1, $5, $11, what, coalesce($12, '{}'), $10)
  on conflict (tenant, idem_key) do nothing
  returning id into job;

  if job is null then
    select id, input_hash into job, first from jobs where tenant = $6 and idem_key = $11;
    if first is distinct from what then
      raise exception 'the idempotency key % was used for another submit', $11
        using errcode = 'unique_violation', hint = 'use a new key for a new document or other options';
    end if;
  end if;
  return job;
end $$;

create or replace function docmill_submit(
  prompt text, document text, name text default null, version text default null, tenant text default 'default',
  feature text default 'default', usr text default '', lane text default 'bulk',
  deadline_at timestamptz default null, idem_key text default null, params jsonb default '{}'
) returns bigint language plpgsql as $$
begin
  if $2 is null or $2 = '' then
    perform docmill_refuse('document', case when $2 is null then 'it is null' else 'it is empty' end,
      'a text; a file goes over HTTP');
  end if;
  return docmill_submit_file(
    $1, convert_to($2, 'UTF8'), 'text/plain', $3, $4, $5, $6, $7, $8, $9, $10, $11);
end $$;
