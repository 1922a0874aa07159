-- Pages that OCR reads, each by itself. A page belongs to who claims it for as long as reading it may take.


-- name: take
-- The first page that nobody has read or reads just now.
insert into scanned_pages (document_id, page, claimed_until)
select :document_id, wanted.page, clock_timestamp() + make_interval(secs => :lease_s)
from unnest(:pages::int[]) wanted(page)
where not exists (
  select from scanned_pages known where known.document_id = :document_id and known.page = wanted.page
  and (known.text is not null or known.failure is not null or known.claimed_until > clock_timestamp()))
order by wanted.page limit 1
on conflict (document_id, page) do update set claimed_until = excluded.claimed_until
where scanned_pages.text is null and scanned_pages.failure is null
  and scanned_pages.claimed_until < clock_timestamp()
returning page

-- name: keep
-- What was found on it, or why nothing was.
update scanned_pages set text = :words, layout = :layout, failure = :failure, took_s = :took_s
where document_id = :document_id and page = :page

-- name: let_go
-- A page that could not be tried: the next one may.
delete from scanned_pages where document_id = :document_id and page = :page and text is null and failure is null

-- name: forget_failed
delete from scanned_pages where document_id = :document_id and failure is not null

-- name: read
-- Those that were read, or tried.
select page, text, layout, failure from scanned_pages
where document_id = :document_id and (text is not null or failure is not null) order by page

-- name: spent
select coalesce(sum(took_s), 0)::float from scanned_pages where document_id = :document_id
