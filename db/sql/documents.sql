-- A tenant's documents, as people look at them.


-- name: shown
select id, name, media_type, created_at, encode(sha256, 'hex') as sha256, octet_length(body) as bytes,
  length(text) as chars, pages, layout, warnings
from documents where id = :id and tenant = :tenant

-- name: original
select name, media_type, sha256, body from documents where id = :id and tenant = :tenant

-- name: reading
select media_type, text, pages, layout from documents where id = :id and tenant = :tenant and text is not null

-- name: words
select text from documents where id = :id and tenant = :tenant

-- name: warnings
select warnings from documents where id = :id

-- name: latest
-- Of the latest jobs of the tenant, `most` of them at most: each document once, with how many of these jobs are about it.
select d.id, d.name, d.media_type, d.created_at, octet_length(d.body) as bytes, found.jobs, found.last_job
from (
  select document_id, count(*) as jobs, max(id) as last_job from (
    select id, document_id from jobs where tenant = :tenant and (:before::bigint is null or id < :before)
    order by id desc limit :most) recent
  where document_id is not null group by document_id) found
join documents d on d.id = found.document_id
where :words::text is null or strpos(lower(coalesce(d.name, '')), lower(:words)) > 0
order by found.last_job desc limit :limit

-- name: of_content
select id from documents where tenant = :tenant and sha256 = :sha256

-- name: jobs_of
-- Those that ended, by an index of these; of the others those among the latest of the tenant.
(select id from jobs where document_id = :id and {has_ended} and tenant = :tenant order by id desc limit :limit)
union
(select id from (select id, document_id, wait from jobs where tenant = :tenant order by id desc limit :most) recent
 where document_id = :id and wait is not null limit :limit)
order by id desc limit :limit

-- name: collections_of
select c.name from collection_documents m join collections c on c.id = m.collection_id
where m.document_id = :id and c.tenant = :tenant order by c.name

-- name: job_of_key
select id from jobs where tenant = :tenant and idem_key = :key
