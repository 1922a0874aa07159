-- Erasing what was said to models and by them. The ledger's figures stay.


-- name: erase_of_jobs
-- A retry that begins meanwhile waits for the lock, and then finds the replies gone.
with old as (
  select e.call_id from exchanges e join calls c on c.id = e.call_id join jobs j on j.id = c.job_id
  where e.at < clock_timestamp() - make_interval(secs => :older_than_s) and c.state <> 'intent' and j.wait is null
  limit :batch for no key update of j skip locked)
delete from exchanges e using old where e.call_id = old.call_id

-- name: erase_of_no_job
with old as (
  select e.call_id from exchanges e join calls c on c.id = e.call_id
  where e.at < clock_timestamp() - make_interval(secs => :older_than_s) and c.state <> 'intent' and c.job_id is null
  limit :batch for update of e skip locked)
delete from exchanges e using old where e.call_id = old.call_id
