-- What searches know of a collection beside its chunks: how common words are, and vectors' indexes.


-- name: uncounted
-- Those that have changed since their words were counted.
select id from collections where counted_at is null or counted_at < changed_at order by changed_at

-- name: lock
select id from collections where id = :collection for update

-- name: count_chunks
select count(*) from chunks where collection_id = :collection

-- name: forget_terms
delete from terms where collection_id = :collection

-- name: count_terms
-- In a share of the chunks, where they are many.
insert into terms (key, chunks, collection_id)
select key, ceil(count(*) * :share::float), :collection from (
  select keys from chunks where collection_id = :collection
    and (:share::float = 1.0 or hashint8(id) & 1048575 < 1048576 / :share::float)) sampled
cross join lateral unnest(keys) as key group by key on conflict (key) do nothing

-- name: note_counted
update collections set chunks = :chunks, counted_at = clock_timestamp() where id = :collection

-- name: take_over
-- Collections whose next model has vectors of every document.
update collections set model = next_model, next_model = null
where next_model is not null and not exists (
  select from collection_documents d where d.collection_id = collections.id and not next_model = any(d.models))
returning id, name, model

-- name: drop_vectors_of_others
delete from vectors using embedding_models
where model_id = embedding_models.id and vectors.collection_id = :id and embedding_models.name <> :model

-- name: unindexed
-- Slices without an index, of models with many vectors. These are counted only for models that lack an index: this
-- runs with every tick.
with missing as materialized (
  select id, dimensions, slice from embedding_models cross join generate_series(0, :slices - 1) as slice
  where not exists (
    select from pg_index join pg_class on pg_class.oid = indexrelid
    where relname = format('vectors_hnsw_%s_%s_of_%s', embedding_models.id, slice, :slices::int) and indisvalid)),
grown as materialized (
  select id from (select distinct id from missing) as lacking
  where (select count(*) from (select from vectors where model_id = lacking.id limit :least) s) >= :least)
select id as model_id, dimensions, slice as number from missing join grown using (id) order by id, slice

-- name: outdated
-- Indexes of models that were parted in another way, once all that take their place are there.
select indexes.relname as name from pg_class indexes
where relkind = 'i' and relname ~ '^vectors_hnsw_[0-9]+_' and relname !~ format('_of_%s$', :slices::int)
  and (select count(*) from pg_class those join pg_index on indexrelid = those.oid and indisvalid
       where those.relname ~ (substring(indexes.relname from '^vectors_hnsw_[0-9]+_')
         || format('[0-9]+_of_%s$', :slices::int))) = :slices order by 1

-- name: give_memory
-- A graph that does not fit into memory while it is built takes many times as long.
select set_config('maintenance_work_mem', greatest(
  (select setting::bigint from pg_settings where name = 'maintenance_work_mem'),
  least(:most_kb, 65536 + (select count(*) from vectors where model_id = :model_id) / :slices * :bytes_each / 1024)
)::bigint || 'kB', false)

-- name: take_memory_back
reset maintenance_work_mem

-- name: build_alone
set max_parallel_maintenance_workers = 0

-- name: build_together
reset max_parallel_maintenance_workers

-- name: dropping_index
-- The statement that drops an index while searches and writes go on.
select format('drop index concurrently if exists %I', :name::text)

-- name: building_index
-- The statement that builds the HNSW index of a slice while searches and writes go on.
select format('create index concurrently %I on vectors using hnsw ((v::halfvec(%s)) halfvec_cosine_ops) '
  'with (m = %s, ef_construction = %s) where model_id = %s and chunk_id %% %s = %s',
  :name::text, :dimensions::int, :m::int, :ef_construction::int, :model_id::int, :slices::int, :number::int)

-- name: try_lock
-- Of the transaction: a session's lock would be lost, and stay for ever, behind a pooler in transaction mode.
select pg_try_advisory_xact_lock(:key)

-- name: be_idle
set local idle_in_transaction_session_timeout = 0

-- name: may_build
select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = 'vectors'::regclass
