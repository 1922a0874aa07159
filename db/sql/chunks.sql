-- Chunks of a collection's documents, and their vectors.


-- name: texts_at
select coalesce(substr(d.text, start_at + 1, end_at - start_at), '') as words
from unnest(:ids::bigint[], :starts::int[], :ends::int[]) with ordinality as places (document_id, start_at, end_at, at)
left join documents d on d.id = places.document_id and d.tenant = :tenant order by at

-- name: lock_document
-- Two jobs that index one document take turns.
select id from documents where id = :id for no key update

-- name: known
select count(*) from embeddings where model = :model and v is not null and sha256 = any(:digests::bytea[])

-- name: enroll
insert into collection_documents (collection_id, document_id, language, meta, models)
values (:collection_id, :document_id, :language, :meta::jsonb, :models::text[])
on conflict (collection_id, document_id) do update
set language = excluded.language, meta = excluded.meta, models = excluded.models, indexed_at = clock_timestamp()

-- name: note_language
-- The collection's row is changed by its first documents, and seldom afterwards: else all would queue for it.
update collections set changed_at = clock_timestamp(),
  languages = case when :language = any(languages) then languages else languages || :language::text end
where id = :collection_id and (not :language = any(languages)
  or changed_at < clock_timestamp() - interval '1 s' and counted_at >= changed_at)

-- name: keep
insert into chunks (tenant, collection, collection_id, document_id, position, start_at, end_at, sha256, text, language,
  meta, keys, terms)
select :tenant, :collection, :collection_id, :document_id, place - 1, start_at, end_at, sha256, passage, :language,
  :meta::jsonb, words.keys, words.terms
from unnest(:starts::int[], :ends::int[], :digests::bytea[], :texts::text[], :searchables::text[]) with ordinality
  as passages (start_at, end_at, sha256, passage, searchable, place)
cross join lateral docmill_weights(:collection_id, :language, searchable) as words
on conflict (collection, document_id, position) do update set start_at = excluded.start_at, end_at = excluded.end_at,
  sha256 = excluded.sha256, text = excluded.text, language = excluded.language, meta = excluded.meta,
  keys = excluded.keys, terms = excluded.terms

-- name: drop_surplus
delete from chunks where collection_id = :collection_id and document_id = :document_id and position >= :kept

-- name: keep_vectors
-- A text without a word has a vector of length zero, which has no angle to any other.
insert into vectors (chunk_id, model_id, collection_id, meta, v)
select chunks.id, model.id, chunks.collection_id, chunks.meta, embeddings.v
from chunks join embeddings on embeddings.sha256 = chunks.sha256 and embeddings.model = :model
join embedding_models model on model.name = :model
where chunks.collection_id = :collection_id and chunks.document_id = :document_id and l2_norm(embeddings.v) > 0
on conflict (chunk_id, model_id) do update set v = excluded.v, meta = excluded.meta
