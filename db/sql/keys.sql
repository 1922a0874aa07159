-- Keys of the HTTP API.


-- name: add
insert into api_keys (id, hash, tenant, scopes) values (:id, :hash, :tenant, array['jobs'])

-- name: valid
select hash, tenant from api_keys where id = :id and revoked_at is null

-- name: revoke
update api_keys set revoked_at = clock_timestamp() where id = :id and revoked_at is null
