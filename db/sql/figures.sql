-- Figures for Prometheus. Each has an index of just the rows that it counts: no job that has ended is read, and no call
-- that is known.


-- name: unsent
select stage, wait, count(*) as jobs from jobs where wait = 'unsent' group by stage, wait

-- name: under_way
select stage, wait, count(*) as jobs from jobs where wait is not null and wait <> 'unsent' group by stage, wait

-- name: in_doubt
select count(*) from calls where possibly_billed and state = 'in_doubt'

-- name: slots
select queue, sum(slots) as slots from workers where seen_at > clock_timestamp() - interval '30 s' group by queue
