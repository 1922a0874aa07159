-- Collections, their documents and their models.


-- name: add
insert into collections (tenant, name, model) values (:tenant, :name, :model) on conflict (tenant, name) do nothing

-- name: find
select id, tenant, name, model, next_model, languages, chunks from collections where tenant = :tenant and name = :name

-- name: listed
-- Chunks are counted along the index of a collection's documents, which has their names and their places: a look at the rows
-- themselves would be a look at those of all tenants' collections of that name.
select c.name, c.model, c.next_model, c.languages, enrolled.documents,
  case when seen.chunks > :most then greatest(:most, c.chunks) else seen.chunks end::int as chunks,
  seen.chunks > :most and c.chunks <= :most as chunks_at_least
from collections c
cross join lateral (select count(*)::int as documents from collection_documents where collection_id = c.id) enrolled
cross join lateral (
  select count(*) as chunks from (
    select from collection_documents mine
    cross join lateral (
      select from chunks where collection = c.name and document_id = mine.document_id offset 0) its
    where mine.collection_id = c.id limit :most + 1) counted) seen
where c.tenant = :tenant order by c.name

-- name: models_of
select model, next_model from collections where id = :id

-- name: model_id
with made as (
  insert into embedding_models (name, dimensions) values (:name, :dimensions)
  on conflict (name) do nothing returning id, dimensions)
select id, dimensions from made
union all select id, dimensions from embedding_models where name = :name limit 1

-- name: change_model
update collections set next_model = :model where id = :id

-- name: documents_of
select document_id from collection_documents where collection_id = :id order by document_id

-- name: drop_chunks
-- An embedding is kept by its text's hash, and goes with the last chunk that has the text. Their vectors cascade.
with gone as (
  delete from chunks where document_id = :document
    and (collection_id = :collection or (:collection::int is null and tenant = :tenant)) returning id, sha256)
delete from embeddings using gone where embeddings.sha256 = gone.sha256 and not exists (
  select from chunks where chunks.sha256 = gone.sha256 and chunks.id not in (select id from gone))

-- name: leave
delete from collection_documents where collection_id = :collection and document_id = :document

-- name: delete_document
delete from documents where tenant = :tenant and id = :document
