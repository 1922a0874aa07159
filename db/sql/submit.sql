-- Accepting documents as jobs. A document that is there already keeps its text, and gets its body back if that was
-- erased.


-- name: submit
select job as id, is_new from docmill_accept_job(:prompt, :body, :media_type, :name, :version, :tenant, :feature, :usr, :lane,
  :deadline_at, :idem_key, :params::jsonb, :metadata::jsonb, null, :content_hash)

-- name: trace
-- What jobs that are submitted in this transaction belong to.
select set_config('docmill.traceparent', :trace, true)

-- name: make_copied
create temp table copied (at serial, prompt text, body bytea, media_type text, name text, version text, tenant text,
  feature text, usr text, lane text, deadline_at timestamptz, idem_key text, params text, metadata text,
  content_hash bytea)

-- name: copy
copy copied (prompt, body, media_type, name, version, tenant, feature, usr, lane, deadline_at, idem_key, params,
  metadata, content_hash)
from stdin (format binary)

-- name: submit_keyed
select docmill_submit_job(prompt, body, media_type, name, version, tenant, feature, usr, lane, deadline_at, idem_key,
  params::jsonb, metadata::jsonb, null, content_hash) as id
from (select * from copied where idem_key is not null order by at) c

-- name: submit_unkeyed
-- What the function does for one job, for all that have no key and so nothing to compare: twice as many a second.
-- Documents are locked in one order, so that two who submit the same ones do not wait for each other; ids are given
-- out in the order of the last select.
with given as materialized (select *, sha256(body) as digest from copied where idem_key is null),
kept as (
  insert into documents (tenant, sha256, name, media_type, body, short)
  select distinct on (tenant, digest) tenant, digest, docmill_file_name(name), media_type, body, docmill_is_short(body)
  from given order by tenant, digest, at
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body), short = excluded.short
  returning id, tenant, sha256, name),
made as (
  insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, params, deadline_at,
    name, path, metadata, content_hash)
  select g.tenant, g.feature, g.usr, g.lane, k.id, g.prompt, g.version, g.params::jsonb, g.deadline_at,
    docmill_file_name(g.name), coalesce(g.name, k.name), g.metadata::jsonb, g.content_hash
  from given g join kept k on k.tenant = g.tenant and k.sha256 = g.digest order by g.at returning id)
select id from made order by id

-- name: submit_to_run
-- Each row has a key, by which it is found again: what was submitted before under it is no second job.
with given as materialized (select *, sha256(body) as digest from copied),
kept as (
  insert into documents (tenant, sha256, name, media_type, body, short)
  select distinct on (tenant, digest) tenant, digest, docmill_file_name(name), media_type, body, docmill_is_short(body)
  from given order by tenant, digest, at
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body), short = excluded.short
  returning id, tenant, sha256, name)
insert into jobs (tenant, feature, usr, lane, document_id, prompt, version, params, deadline_at, idem_key, input_hash,
  name, path, metadata, content_hash, run_id)
select g.tenant, g.feature, g.usr, g.lane, k.id, g.prompt, g.version, g.params::jsonb, g.deadline_at, g.idem_key,
  docmill_what(g.prompt, g.version, g.feature, g.usr, g.lane, g.params::jsonb, g.digest, g.metadata::jsonb),
  docmill_file_name(g.name), coalesce(g.name, k.name), g.metadata::jsonb, g.content_hash, :run
from given g join kept k on k.tenant = g.tenant and k.sha256 = g.digest order by g.at
on conflict (tenant, idem_key) do nothing returning id

-- name: submitted_to_run
-- A statement of its own sees what others have committed meanwhile.
select j.id, j.run_id, j.input_hash = docmill_what(c.prompt, c.version, c.feature, c.usr, c.lane, c.params::jsonb,
  sha256(c.body), c.metadata::jsonb) as same
from copied c join jobs j on j.tenant = c.tenant and j.idem_key = c.idem_key order by c.at

-- name: drop_copied
drop table copied

-- name: submit_index
with document as (
  insert into documents (tenant, sha256, name, media_type, body)
  values (:tenant, sha256(:body), docmill_file_name(:name), :media_type, :body)
  on conflict (tenant, sha256) do update set body = coalesce(documents.body, excluded.body) returning id, name)
insert into jobs (tenant, feature, usr, lane, chain, document_id, collection, params, name, path)
select :tenant, :feature, :usr, :lane, 'index', id, :collection, :params::jsonb, docmill_file_name(:name),
  coalesce(:name, name)
from document returning id

-- name: index_again
insert into jobs (tenant, feature, lane, chain, document_id, collection, params, path)
select :tenant, 'default', 'bulk', 'index', d.document_id, :collection,
  jsonb_build_object('meta', d.meta, 'language', d.language), kept.name
from collection_documents d join collections c on c.id = d.collection_id join documents kept on kept.id = d.document_id
where c.tenant = :tenant and c.name = :collection and d.document_id = any(:documents::bigint[])
order by d.document_id returning id

-- name: ask_one_by_one
-- Who asks for the same job afresh just now is waited for, and seen by the statement that follows.
select id from jobs where id = :id for no key update

-- name: submit_fresh
-- Once under a key: who sends a form, or a request, twice pays once. What is wanted under the key is this job's content.
insert into jobs (tenant, feature, usr, lane, chain, document_id, collection, prompt, version, params, deadline_at,
  fresh, name, path, metadata, run_id, idem_key, input_hash, afresh_of)
select tenant, feature, usr, lane, chain, document_id, collection, prompt, version, params, :deadline_at, true, name,
  coalesce(path, (select d.name from documents d where d.id = old.document_id)), metadata, run_id, :idem_key,
  sha256(convert_to('afresh ' || id, 'UTF8')), id
from jobs old where id = :id and not (:once and exists (
  select from jobs later where later.afresh_of = old.id
    and (:idem_key::text is null or later.idem_key is distinct from :idem_key)))
on conflict (tenant, idem_key) do nothing returning id, run_id

-- name: submitted_fresh
-- A statement of its own sees what others have committed meanwhile.
select made.id, made.run_id, made.afresh_of is not distinct from old.id as same
from jobs old join jobs made on made.tenant = old.tenant and made.idem_key = :idem_key
where old.id = :id
