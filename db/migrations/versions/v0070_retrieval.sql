-- Collections of documents that can be searched.
create table collections (
  id         int generated always as identity primary key,
  tenant     text not null,
  name       text not null,
  model      text not null,                       -- whose vectors are searched
  next_model text,                                -- whose vectors are being made; it takes over once all are there
  languages  text[] not null default '{}',        -- text search configurations of its chunks
  chunks     int not null default 0,              -- as of counted_at
  changed_at timestamptz not null default clock_timestamp(),
  counted_at timestamptz,                         -- when its words were counted last
  unique (tenant, name)
);

create table collection_documents (
  collection_id int not null references collections on delete cascade,
  document_id   bigint not null references documents on delete cascade,
  language      text not null,
  meta          jsonb not null default '{}',
  models        text[] not null default '{}',        -- whose vectors its chunks have
  indexed_at    timestamptz not null default clock_timestamp(),
  primary key (collection_id, document_id)
);
create index collection_documents_document on collection_documents (document_id);

-- A chunk's words are numbers that hold collection, language and stem, so that the index finds those of one
-- collection alone, and an erased document leaves no word behind. `terms` has BM25's weight of each word: the
-- score of a chunk is its inner product with the question's words.
alter table chunks drop column words;
alter table chunks add column collection_id int references collections on delete cascade;
alter table chunks add column language text;
alter table chunks add column keys int[];
alter table chunks add column terms sparsevec;
create index chunks_keys on chunks using gin (keys);
create index chunks_document on chunks (document_id);
create index chunks_sha256 on chunks (sha256);

-- In how many chunks a word occurs; counted now and then, since a ranking does not need it exact.
create table terms (
  key    int primary key,
  chunks int not null,
  collection_id int not null references collections on delete cascade
);
create index terms_collection on terms (collection_id);

create table embedding_models (
  id         smallint generated always as identity primary key,
  name       text not null unique,
  dimensions int not null check (dimensions between 1 and 4000)
);

-- Paid once a text: the row is there, without its vector, from before the call on. `call_id` is the call
-- that asks for it, until `claimed_until`.
alter table embeddings alter column v drop not null;
alter table embeddings add column call_id uuid;
alter table embeddings add column claimed_until timestamptz not null default clock_timestamp();
create index embeddings_claimed on embeddings (claimed_until) where v is null;

-- What a search reads of a chunk: narrow, with all that a filter needs, once for each model.
create table vectors (
  chunk_id      bigint not null references chunks on delete cascade,
  model_id      smallint not null references embedding_models,
  collection_id int not null references collections on delete cascade,
  meta          jsonb not null default '{}',
  v             halfvec not null,
  primary key (chunk_id, model_id)
);
create index vectors_collection on vectors (collection_id, model_id);
create index vectors_meta on vectors using gin (meta jsonb_path_ops);

-- The words of a text as one collection knows them, and how often each occurs.
create function docmill_terms(collection int, language text, content text)
returns table (key int, occurrences int) language sql stable strict rows 80 as $$
  select (1 + (hashtextextended(language || ':' || lexeme, collection) & 1073741823) % 1000000000)::int,
         sum(cardinality(positions))::int
  from unnest(to_tsvector(language::regconfig, content)) group by 1
$$;

-- BM25 (k1 1.2, b 0.75) as an inner product, for a usual chunk of 80 words that are worth counting.
create function docmill_weights(collection int, language text, content text, out keys int[], out terms sparsevec)
language sql stable strict as $$
  with counted as materialized (
    select key, occurrences, sum(occurrences) over () as length from docmill_terms(collection, language, content)
  )
  select coalesce(array_agg(key), '{}'),
         ('{' || coalesce(string_agg(key || ':' ||
            (occurrences * 2.2 / (occurrences + 1.2 * (0.25 + 0.75 * length / 80.0)))::real, ','), '')
          || '}/1000000000')::sparsevec
  from counted
$$;
