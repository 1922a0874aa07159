-- Whose turn it is at workers that compute, where jobs of several tenants wait in the broker.


-- fragment: at_cpu
-- An `other` job whose message waits for who computes, and for no io worker that takes it all the way (`short` in
-- transitions.sql).
other.state = 'running' and other.wait = 'sent' and other.stage = any(:at_cpu) and other.crashes < 2
  and not (other.stage = 'validate' and other.crashes = 0 and other.redrives = 0 and other.chain = 'document'
    and exists (select from documents where documents.id = other.document_id and short))

-- fragment: held_at_cpu
-- A job that is `held` by one who computes, and not by an io worker, which takes none of their slots.
held.state = 'running' and held.wait = 'running' and held.stage = any(:at_cpu) and held.crashes < 2
  and not (held.stage = 'validate' and held.crashes = 0 and held.redrives = 0 and held.chain = 'document'
    and exists (select from documents where documents.id = held.document_id and short))

-- name: waiting
-- The tenant of a job whose message came, and each other tenant with a job that waits at least as urgently: for how
-- long already. What waits for longer than `most_s` has lost its message. And whether the tenant holds its share
-- already, as in due.sql: its document was sent before it was known that they take long.
select mine.tenant as mine, mine.lane, other.tenant,
  extract(epoch from clock_timestamp() - min(other.since))::float as waited_s,
  mine.stage = 'validate' and exists (select from jobs apart where apart.state = 'queued' and apart.turn = 'apart'
    and apart.lane = any(:lanes) and apart.tenant = mine.tenant)
  and (select count(*) from jobs held where {held_at_cpu} and held.tenant = mine.tenant)
    >= (select greatest(1, coalesce(sum(slots), 0)::int / 2) from workers
        where queue = 'cpu' and seen_at > clock_timestamp() - make_interval(secs => :within_s)) as beyond_share
from jobs mine left join jobs other
  on {at_cpu} and other.tenant <> mine.tenant
  and (other.lane = 'interactive' or mine.lane = 'bulk')
  and other.since < clock_timestamp() - make_interval(secs => :patience_s)
  and other.since > clock_timestamp() - make_interval(secs => :most_s)
where mine.id = :id and mine.epoch = :epoch and mine.crashes < 2
group by mine.tenant, mine.lane, mine.stage, other.tenant

-- name: gives_way
-- Whether a job that has run for a while holds up another tenant, or a more urgent lane: one of theirs waits, and
-- half of the slots are held already by jobs that have run for longer.
select exists (
    select from jobs other where {at_cpu} and (other.tenant <> :tenant or (other.lane = 'interactive' and :lane = 'bulk'))
      and other.since < clock_timestamp() - make_interval(secs => :patience_s))
  and (select count(*) from jobs held where {held_at_cpu} and held.since < (select since from jobs where id = :id))
    >= (select coalesce(sum(slots), 0)::int / 2 from workers
        where queue = 'cpu' and seen_at > clock_timestamp() - make_interval(secs => :within_s))
