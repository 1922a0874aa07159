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
