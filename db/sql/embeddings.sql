-- Vectors by the hash of their text. A row without a vector is a claim: the call that will bring it is open, until
-- `claimed_until`. Embeddings are locked first, then as everywhere budgets, calls and jobs.


-- name: known
select sha256 from embeddings where model = :model and v is not null and sha256 = any(:digests::bytea[])

-- name: claim
insert into embeddings (model, sha256, call_id, claimed_until)
select :model, sha256, :call_id, clock_timestamp() + make_interval(secs => :lease_s)
from unnest(:digests::bytea[]) as sha256
on conflict (model, sha256) do update set call_id = excluded.call_id, claimed_until = excluded.claimed_until
where embeddings.v is null and embeddings.claimed_until < clock_timestamp() returning sha256

-- name: release
update embeddings set claimed_until = '-infinity' where call_id = any(:calls::uuid[]) and v is null

-- name: keep
insert into embeddings (model, sha256, v)
select :model, sha256, vector::halfvec from unnest(:digests::bytea[], :vectors::text[]) as brought (sha256, vector)
on conflict (model, sha256) do update set v = excluded.v where embeddings.v is null

-- name: vector
select v::real[] from embeddings where model = :model and sha256 = :digest

-- name: mark_question
update embeddings set question = true where call_id = :call_id and v is null

-- name: forget_questions
delete from embeddings
where question and claimed_until < clock_timestamp() - make_interval(secs => :older_than_s)
  and not exists (select from chunks where chunks.sha256 = embeddings.sha256)

-- name: spare_claims
-- Rows that somebody holds just now are being told of; waiting for them could end in a deadlock.
update embeddings set claimed_until = greatest(claimed_until, clock_timestamp() + make_interval(secs => :for_s))
where ctid in (
  select ctid from embeddings where v is null and claimed_until > '-infinity' for update skip locked)
