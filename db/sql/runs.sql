-- Runs: documents that were submitted together.


-- name: begin
insert into runs (tenant, name, cause, submit, metadata, expected, idem_key)
values (:tenant, :name, :cause, :submit::jsonb, :metadata::jsonb, :expected, :key)
on conflict (tenant, idem_key) where closed_at is null and idem_key is not null
do update set expected = excluded.expected returning id

-- name: close
update runs set closed_at = clock_timestamp() where id = :id and closed_at is null

-- name: drop_empty
delete from runs where id = :id and not exists (select from jobs where run_id = :id)
