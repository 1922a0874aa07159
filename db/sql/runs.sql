-- Runs: documents that were submitted together.


-- name: begin
-- What was closed under the key of a request is found again, and not begun anew.
with closed as (
  select id from runs where tenant = :tenant and idem_key = :key and closed_at is not null and :cause = 'api'
  order by id desc limit 1),
begun as (
  insert into runs (tenant, name, cause, submit, metadata, expected, idem_key)
  select :tenant, :name, :cause, :submit::jsonb, :metadata::jsonb, :expected, :key where not exists (select from closed)
  on conflict (tenant, idem_key) where closed_at is null and idem_key is not null
  do update set expected = excluded.expected returning id)
select id from closed union all select id from begun

-- name: close
update runs set closed_at = clock_timestamp() where id = :id and closed_at is null

-- name: drop_empty
delete from runs where id = :id and not exists (select from jobs where run_id = :id)
