-- Accepting documents as jobs.


-- name: submit_fresh
insert into jobs (tenant, feature, usr, lane, chain, document_id, collection, prompt, version, params, deadline_at,
  fresh)
select tenant, feature, usr, lane, chain, document_id, collection, prompt, version, params, :deadline_at, true
from jobs where id = :id returning id
