-- Keys of the HTTP API, and the sessions of browsers that showed one.


-- fragment: holder
k.id, k.hash, k.tenant, k.name, k.scopes,
  k.used_at is null or k.used_at < clock_timestamp() - interval '1 minute' as used_long_ago

-- fragment: still_valid
k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())


-- name: add
insert into api_keys (id, hash, tenant, name, scopes, expires_at)
values (:id, :hash, :tenant, :name, :scopes::text[], :expires_at::timestamptz)

-- name: valid
select {holder} from api_keys k where k.id = :id and {still_valid}

-- name: note_use
update api_keys set used_at = clock_timestamp() where id = :id

-- name: revoke
update api_keys set revoked_at = clock_timestamp() where id = :id and revoked_at is null


-- name: open_session
-- Those that have ended go on the way.
with gone as (delete from sessions where expires_at < clock_timestamp())
insert into sessions (hash, key_id, expires_at) values (:hash, :key_id, clock_timestamp() + make_interval(secs => :for_s))

-- name: session
select {holder} from sessions s join api_keys k on k.id = s.key_id
where s.hash = :hash and s.expires_at > clock_timestamp() and {still_valid}

-- name: close_session
delete from sessions where hash = :hash
