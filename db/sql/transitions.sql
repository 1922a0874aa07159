-- Every statement that changes a job's row. db/transitions.py says which leaves what, and where it leads. A statement
-- changes nothing where somebody was faster. Locks are taken in one order: flight, budgets by id, calls, jobs by id.
-- A job that has crashed twice, or took too long, runs apart from all others: the number 2 here.
--
-- No index asks for anything that changes while a job is `sent`, `running` or counts down (docs/decisions/0205): they ask
-- for `state`, for `turn` of what is queued, and for `held_until` of what is held: never later than `wake_at`, and elsewhere
-- `epoch`. A trigger sees to both, for who forgets them.


-- fragment: fence
id = :id and epoch = :epoch and stage = :stage and wait is not null

-- fragment: unflushed
-- True, and lets the commit of its transaction return before it is on disk. For transitions that cost nothing to
-- repeat: if the server dies in that moment, the job stands where it stood before, and is driven again. Never for
-- money, for results, or for ends.
set_config('synchronous_commit', 'off', true) = 'off'

-- fragment: onward
-- What the broker is about to be told of is under way. (least() passes over a deadline that is null.) Whoever says it says
-- whose it is: nobody's, or that of a process that has it in hand already.
stage = :to, wait = 'sent', state = 'running', crashes = 0, redrives = 0, missing = null,
  since = clock_timestamp(), held_until = 'epoch',
  wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => :message_s))

-- fragment: waits_again
-- Whoever says it says in which `turn`, too.
wait = 'unsent', state = 'queued', owner = null, wake_at = clock_timestamp(), held_until = 'epoch'

-- fragment: held
state = 'held', owner = null, redrives = 0,
  wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => :for_s)),
  held_until = least(deadline_at, statement_timestamp() + make_interval(secs => :for_s))

-- fragment: ended
wait = null, epoch = epoch + 1, owner = null, finished_at = clock_timestamp()


-- name: claim
with claimed as (
  update jobs set wait = 'running', state = 'running', owner = :owner, since = clock_timestamp(),
    wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => :lease_s))
  where {fence} and wait in ('sent', 'countdown') and {unflushed} returning *)
select {job_row} from claimed j {job_joins}

-- name: advance
-- To parse a job goes with its reply, in a commit that is `flushed`.
update jobs set {onward}, owner = null, version = coalesce(:version, version),
  content_hash = coalesce(content_hash, :content_hash), context = coalesce(:context::jsonb, context),
  value = coalesce(:value::jsonb, value), model = coalesce(:model, model)
where {fence} and (:flushed or {unflushed})

-- name: advance_with_text
-- What leaves pages to OCR does not take the place of a text that has them: another job may have been faster.
with kept as (
  update documents set text = :words, pages = to_jsonb(:pages::int[]), media_type = :media_type, layout = :layout,
    warnings = :warnings::jsonb, scans = to_jsonb(:scans::int[])
  where id = :document and exists (select from jobs where {fence})
    and (text is null or scans is distinct from '[]' or cardinality(:scans::int[]) = 0) returning id)
update jobs set {onward}, owner = null, version = coalesce(:version, version),
  content_hash = coalesce(content_hash, :content_hash)
where {fence} and (select count(*) from kept) >= 0 and {unflushed}

-- name: note
-- What a job has met so far, kept while it stays where it is.
update jobs set history = history || coalesce(:entry::jsonb, '[]'), value = coalesce(:value::jsonb, value),
  flight_key = coalesce(:key, flight_key), context = coalesce(:context::jsonb, context)
where {fence}

-- name: pin
-- To a content of its prompt, once; which one that is, whoever was faster.
update jobs set content_hash = coalesce(content_hash, :content_hash) where {fence} returning content_hash

-- name: leave
-- To a process that has the content which this one misses.
update jobs set {held}, wait = 'rate', held_for = null, missing = :missing::jsonb, failure = :failure::jsonb
where {fence}

-- name: count_down
update jobs set wait = 'countdown', state = 'running', owner = null, missing = null, attempt = attempt + :attempts, redrives = 0,
  held_until = 'epoch',
  wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => :for_s))
where {fence}

-- name: hold
update jobs set {held}, missing = null, wait = :wait, held_for = :held_for, attempt = attempt + :attempts,
  budget_id = coalesce(:budget, budget_id), need_usd = coalesce(:need_usd, need_usd),
  failure = coalesce(:failure::jsonb, failure)
where {fence}

-- name: release_crashed
-- The claim ends at once, and counts as a crash.
update jobs set {waits_again}, crashes = crashes + 1, turn = docmill_turn(stage, crashes + 1) where {fence}

-- name: next_slice
-- The claim ends, and others have their turn. What was done is kept, so nothing that broke before counts any more.
update jobs set {waits_again}, crashes = 0, redrives = 0, turn = docmill_turn(stage, 0) where {fence}

-- name: let_go
-- What came of a claim could not be written, or what is in hand is another's to find out. It counts as no crash, but as one
-- more drive.
update jobs set {waits_again}, redrives = redrives + 1, turn = docmill_turn(stage, crashes)
where {fence} and wait in ('running', 'sent') and owner = :owner

-- name: set_apart
-- The claim ends, and its next one is in quarantine.
update jobs set {waits_again}, crashes = greatest(crashes, 2), turn = 'apart' where {fence}

-- name: wake_soon
-- The sweep drives it again in a few seconds, later each time.
update jobs set wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => 2 ^ least(redrives, 6)))
where {fence}

-- name: wake_abandoned
-- Nobody has them in hand any more: the sweep looks at them now, as when a lease has run out.
update jobs set wake_at = clock_timestamp() where id = any(:ids::bigint[]) and wait in ('running', 'sent')

-- name: drive
-- To a stage under a new epoch.
with moved as (
  update jobs set {onward}, owner = null, epoch = epoch + 1, attempt = attempt + :attempts, purpose = coalesce(:purpose, purpose),
    model = coalesce(:model, model)
  where {fence} returning id, epoch, stage, lane, chain),
noted as (insert into drives (job_id, epoch, stage, cause) select id, epoch, stage, :cause from moved)
select *, false as quarantined from moved

-- name: take_back
-- What may not have been published, where nothing else has happened since.
update jobs set {waits_again}, turn = docmill_turn(jobs.stage, crashes)
from unnest(:ids::bigint[], :epochs::int[], :stages::text[]) as taken(id, epoch, stage)
where jobs.id = taken.id and jobs.epoch = taken.epoch and jobs.stage = taken.stage and wait = 'sent'

-- name: retry
-- Of a failed job, with its history empty: the attempt is the same one, or another, from complete or from its stage. It
-- is pinned anew, to what its prompt's files hold by then: they may be what was mended.
update jobs set {waits_again}, epoch = epoch + 1, content_hash = null, missing = null, flight_key = null, history = '[]', crashes = 0, redrives = 0, failure = null,
  finished_at = null, deadline_at = coalesce(:deadline_at, deadline_at), attempt = attempt + :attempts,
  purpose = case when :attempts = 0 then purpose else 'first' end, model = case when :attempts = 0 then model end,
  stage = case when :from_complete then 'complete' else stage end,
  turn = docmill_turn(case when :from_complete then 'complete' else stage end, 0)
where id = :id and state = 'failed'


-- name: decide
-- A person's decision about an answer in review: it is done, or has failed.
update jobs set epoch = epoch + 1, state = :state, failure = :failure::jsonb
where id = :id and state = 'needs_review' returning epoch

-- name: reopen
-- A decision is taken back, while nothing has happened since.
update jobs set epoch = epoch + 1, state = 'needs_review', failure = :failure::jsonb
where id = :id and epoch = :epoch and state in ('done', 'failed')


-- name: end
update jobs set {ended}, state = :state, failure = :failure::jsonb where {fence}

-- name: store
-- The result's next revision, where there is a value, and the end of the flight that the job led; or nothing, where it
-- is to be `alone` and others wait for its answer. A job may come straight from parse, with what that `kept`. Of a flight
-- also what the work cost, and whether others wait for its answer all the same: who joined it before it was gone.
with ended as (
  update jobs set {ended}, state = :state, failure = :failure::jsonb, stage = 'store', crashes = 0, redrives = 0,
    missing = null, value = coalesce(:kept::jsonb, jobs.value)
  where {fence} and not (:alone and exists (
    select from jobs waiting where waiting.wait = 'flight' and waiting.flight_key = jobs.flight_key)) returning id),
written as (
  insert into results (job_id, revision, value, evidence, author)
  select id, 1 + coalesce((select max(revision) from results where job_id = ended.id), 0),
    :value::jsonb, :evidence::jsonb, 'model'
  from ended where :value::jsonb is not null),
led as (delete from flights using ended where flights.job_id = ended.id returning key)
select exists (select from ended) as ended, led.key, spent.model, spent.usd, docmill_awaited(led.key) as awaited
from (select) as one left join led on true
left join lateral ({spent_on_job}) as spent on led.key is not null

-- name: cancel
-- Whether it ended, and the state in which it was found.
with ended as (
  update jobs set {ended}, state = 'cancelled', failure = null where id = :id and wait is not null returning id)
select exists (select from ended) as ended, state from jobs where id = :id

-- name: fail_overdue
-- Here and below the ids come from due.sql, whose conditions are asked again: a row may have moved on meanwhile.
update jobs set {ended}, state = 'failed',
  failure = jsonb_build_object('kind', 'deadline', 'message', 'its deadline passed at ' || deadline_at)
where id = any(:ids::bigint[]) and {overdue}

-- name: fail_poisoned
update jobs set {ended}, state = 'failed', failure = jsonb_build_object('kind', 'poison', 'message',
  stage || ' never came to an end, alone in quarantine at last: look at the document and at the prompt''s output.py, '
  || 'then `docmill retry`')
where id = any(:ids::bigint[]) and {poisoned}


-- fragment: quarantined
-- What is in hand runs in quarantine: at a stage with a claim after crashes, at one without after drives that brought it
-- no further. Never a call.
case when stage = any(:claimed) then crashes >= :quarantined_at
  else stage <> all(:calling) and redrives > :quarantined_at end

-- fragment: short
-- A short document's job to which nothing has happened yet: one worker takes it all the way (docs/decisions/0218).
chain = 'document' and stage = 'validate' and crashes = 0 and redrives = 0
  and exists (select from documents where documents.id = document_id and short)

-- fragment: driven
-- Drives the `picked` jobs, which were `due` then, for a `cause` that counts as so many redrives `again`.
moved as (
  update jobs set wait = 'sent', state = 'running', owner = null, epoch = epoch + 1, redrives = redrives + again,
    since = clock_timestamp(), held_until = 'epoch', crashes = crashes + (wait = 'running' and stage = any(:claimed))::int,
    wake_at = least(deadline_at,
      clock_timestamp() + make_interval(secs => :message_s * 2 ^ least(redrives + again, 5)))
  from picked where jobs.id = picked.id
  returning jobs.id, epoch, stage, lane, chain, document_id, crashes, redrives, cause, due),
noted as (insert into drives (job_id, epoch, stage, cause, due_at) select id, epoch, stage, cause, due from moved)

-- name: start
-- Jobs that wait, new ones and those that come back from a hold or a crash.
with picked as (
  select id, 'start' as cause, null::timestamptz as due, 0 as again from jobs
  where id = any(:ids::bigint[]) and state = 'queued'),
{driven}
select id, epoch, stage, lane, chain, {quarantined} as quarantined, {short} as short from moved

-- name: drive_lost
-- A claim that ran out is a crash; a message that got lost is none.
with picked as (
  select id, wake_at as due, 1 as again, case wait when 'sent' then 'message lost' when 'running' then 'worker lost'
    when 'countdown' then 'countdown lost' when 'flight' then 'flight looked at' else 'changed by hand' end as cause
  from jobs where id = any(:ids::bigint[]) and {lost}),
{driven}
select id, epoch, stage, lane, chain, {quarantined} as quarantined, {short} as short from moved

-- name: send_again
-- Each job whose message is under way, for a broker that may have forgotten it.
with picked as (
  select id, 'broker began anew' as cause, null::timestamptz as due, 0 as again from jobs
  where id = any(:ids::bigint[]) and wait = 'sent'),
{driven}
select id, epoch, stage, lane, chain, {quarantined} as quarantined, {short} as short from moved

-- name: spare_claims
-- Rows that somebody holds just now are being told of; waiting for them could end in a deadlock.
update jobs set wake_at = greatest(wake_at, clock_timestamp() + make_interval(secs => :for_s))
where ctid in (select ctid from jobs where state = 'running' and wait = 'running' for update skip locked)


-- name: free_due
-- Holds whose time is over.
update jobs set {waits_again}, turn = docmill_turn(stage, crashes) where id = any(:ids::bigint[]) and {hold_over}

-- name: free_for_room
-- Those for whom a model's limits have room.
update jobs set {waits_again}, turn = docmill_turn(stage, crashes) where id = any(:ids::bigint[]) and wait = 'rate'

-- name: wake_released
-- Those that wait for the end of a model's hold; the sweep frees them.
update jobs set wake_at = clock_timestamp(), held_until = 'epoch'
where state = 'held' and wait = 'rate' and held_for = any(:models::text[])

-- name: free_for_budgets
-- Only the latest window of a series has room to give. Those who could never fit are passed over.
with room as materialized (
  select mine.series, b.cap_usd - b.spent_usd - b.reserved_usd - admitted.usd as usd
  from budgets b
  cross join lateral (select coalesce(b.series, b.id) as series) mine
  cross join lateral (select coalesce(sum(need_usd), 0) as usd from jobs
                      where budget_id = mine.series and state in ('queued', 'running')
                        and wait in ('unsent', 'sent')) admitted
  where b.id = any(:ids) and b.cap_usd > 0 and not exists (
    select from budgets later where later.scope = b.scope and later.subject = b.subject and later.span = b.span
    and later.window_start > b.window_start)),
fitting as (
  select id from room cross join lateral (
    select id, sum(need_usd) over (order by place) as up_to from (
      select id, need_usd, row_number() over (order by lane desc, id) as place from (
        select id, lane, need_usd from jobs
        where state = 'held' and wait = 'budget' and budget_id = room.series and need_usd <= room.usd
          and exists (select from jobs least where least.state = 'held' and least.wait = 'budget'
                      and least.budget_id = room.series and least.need_usd <= room.usd)
        order by lane desc, id limit :limit for update skip locked) waiting) placed) summed
  where up_to <= room.usd)
update jobs set {waits_again}, turn = docmill_turn(stage, crashes) from fitting where jobs.id = fitting.id

-- name: free_of_budget
-- The budget is gone.
update jobs set {waits_again}, turn = docmill_turn(stage, crashes), budget_id = null, need_usd = null
where state = 'held' and wait = 'budget' and budget_id = :series

-- name: look_again_for_budgets
update jobs set wake_at = least(deadline_at, clock_timestamp() + make_interval(secs => 3600)),
  held_until = least(deadline_at, statement_timestamp() + make_interval(secs => 3600))
where id in (
  select id from jobs
  where state = 'held' and wait = 'budget' and held_until < statement_timestamp() and wake_at < statement_timestamp()
  order by id limit :limit for update skip locked)


-- fragment: has_leader
-- The flight's leader is on its way, or a call of it is open.
exists (select from jobs leader where leader.id = flights.job_id and (leader.wait is not null
    or exists (select from calls where calls.job_id = leader.id and calls.state = 'intent')))

-- name: lead_or_follow
-- The flight's row is locked against its end until this is committed, so that the leader finds who waits.
with led as (
  insert into flights (key, job_id)
  select :key::bytea, id from jobs where {fence} and wait in ('sent', 'countdown')
  on conflict (key) do update
  set job_id = case when {has_leader} then flights.job_id else excluded.job_id end returning flights.job_id),
held as (
  update jobs set {held}, wait = 'flight', held_for = null, flight_key = :key from led where {fence} and led.job_id <> :id returning id)
select led.job_id as leader, exists (select from held) as held from led

-- name: follow
with led as (
  select flights.job_id from flights where flights.key = :key and flights.job_id <> :id and {has_leader}
  for share of flights)
update jobs set {held}, wait = 'flight', held_for = null, flight_key = :key from led where {fence} and led.job_id <> :id

-- name: hand_over
-- The leader's answer to those who follow, and what it cost.
with spent as ({spent_on_job}),
handed as (
  update jobs set {waits_again}, stage = 'store', turn = docmill_turn('store', 0), crashes = 0, redrives = 0,
    value = :value::jsonb
  where wait = 'flight' and flight_key = :key returning id)
select model, usd, array(select id from handed) as followers from spent

-- name: fail_followers
update jobs set {ended}, state = 'failed', failure = (select failure from jobs leader where leader.id = :leader)
where wait = 'flight' and flight_key = :key

-- name: free_follower
-- One of them leads.
update jobs set {waits_again}, turn = docmill_turn(stage, crashes)
where id = (select id from jobs where wait = 'flight' and flight_key = :key order by id limit 1)


-- fragment: answered_lately
-- A job that has the answer to the same work, and needs no other for it.
select id, value from jobs where flight_key = :key and id <> :id and state = 'done' and not fresh
  and finished_at > clock_timestamp() - make_interval(secs => :lately_s) order by id limit 1

-- fragment: intent_of_call
-- What the `payer` is about to ask, where there is one.
intent as (
  insert into calls (id, job_id, purpose, attempt, part, try, state, tenant, feature, usr, prompt, version,
    content_hash, input_hash, provider, account, model, remedy, reserved_usd, budgets, lease_until,
    owner)
  select :call_id, id, :purpose, :attempt, :part,
    1 + coalesce((select max(try) from calls where job_id = payer.id and attempt = :attempt and part = :part), 0),
    'intent', :tenant, :feature, :usr, :prompt, :version, :content_hash,
    :input_hash, :provider, :account, :model, :remedy, :reserved_usd::numeric, :budgets::bigint[],
    clock_timestamp() + make_interval(secs => :lease_s), :owner
  from payer returning id),
asked as (
  insert into exchanges (call_id, request) select id, :request::jsonb from intent where :request::jsonb is not null)

-- name: open_call
-- Claims the stage and writes the intent: of a job's call, or of a question's, which belongs to no job. There is none
-- where another job `answered` the same work lately, where the attempt has its own answer (`replied`: seen by a function,
-- with what others commit meanwhile), or where there are budgets and none was asked. The key is that of
-- the work's first call, and stays through all attempts. Who `joins` makes one more call under the claim: an embedding
-- after another, or a part beside others.
with answered as ({answered_lately}),
replied as materialized (select from jobs where {fence} and docmill_replied(id, :attempt, :part)),
claimed as (
  update jobs set state = 'running', wait = 'running', owner = :owner, flight_key = coalesce(:key, flight_key),
    redrives = case when :joins::boolean then 0 else redrives end,
    budget_id = null, need_usd = null, failure = null,
    wake_at = clock_timestamp() + make_interval(secs => :lease_s)
  where {fence} and (wait in ('sent', 'countdown') or (:joins::boolean and wait = 'running' and owner = :owner))
    and (:asked or not exists (select from budgets)) and not exists (select from answered)
    and not exists (select from replied)
  returning id),
payer as (select id from claimed union all select null where :id::bigint is null),
{intent_of_call}
select count(*) as calls, exists (select from budgets) as budgets,
  exists (select from answered) or exists (select from replied) as answered
from intent

-- name: lead_and_open
-- The same for a first call straight from context, with what that `kept`: the job leads the work, whose flight nobody
-- had begun, and its intent is written. Nothing is changed where anything is in its way. What others did while the
-- flight's row was waited for is seen by the function.
with led as (
  insert into flights (key, job_id)
  select :key::bytea, id from jobs
  where {fence} and wait in ('sent', 'countdown') and (:asked or not exists (select from budgets))
  on conflict (key) do nothing returning job_id),
answered as materialized (
  select docmill_answered(:key::bytea, job_id, :lately_s) or docmill_replied(job_id, :attempt, :part) as yes from led),
claimed as (
  update jobs set stage = 'complete', state = 'running', wait = 'running', owner = :owner, flight_key = :key, crashes = 0,
    redrives = 0, missing = null, context = :kept::jsonb, model = coalesce(:chosen, jobs.model), since = clock_timestamp(),
    wake_at = clock_timestamp() + make_interval(secs => :lease_s)
  from answered where {fence} and wait in ('sent', 'countdown') and not answered.yes returning jobs.id),
payer as (select id from claimed),
{intent_of_call}
select count(*) as calls, exists (select from budgets) as budgets from intent

-- name: close_call
-- Stores what a call came to, whatever became of its job, and takes the job `to` the next stage, where one is named
-- and the answer is not one too many: for who has it `in_hand`, as its owner. A late answer clears a doubt. Budgets are locked for who `settles` with them;
-- for who does not, a call that reserved something stays as it is.
with locked as (
  select id from budgets where :settles and id in (select unnest(budgets) from calls where id = :call_id)
  order by id for update),
closed as (
  update calls set state = case when :answered and exists (select from calls other
      where other.job_id = calls.job_id and other.attempt = calls.attempt and other.part = calls.part and other.id <> calls.id
        and other.state = 'answered' and other.purpose <> 'embed') then 'surplus' else :ending end,
    model_echoed = :model_echoed, request_id = :request_id, input_tokens = :input_tokens,
    cached_tokens = :cached_tokens, output_tokens = :output_tokens, reasoning_tokens = :reasoning_tokens,
    cost_usd = :cost_usd, price_source = :price_source, failure_kind = :failure_kind, http_status = :http_status,
    possibly_billed = :possibly_billed, latency_ms = :latency_ms, lease_until = null,
    wasted = case when exists (select from jobs where jobs.id = calls.job_id
      and jobs.state in ('failed', 'cancelled')) then 'failed' end,
    finished_at = clock_timestamp()
  where id = :call_id and (state = 'intent' or (state = 'in_doubt' and :answered))
    and (select count(*) from locked) >= 0 and (:settles or budgets = '{}')
  returning id, state, budgets, reserved_usd, cost_usd, possibly_billed or (:answered and cost_usd is null) as unknown),
said as (
  update exchanges set reply = :reply::jsonb from closed where call_id = closed.id and :reply::jsonb is not null),
moved as (
  update jobs set {onward}, owner = case when :in_hand then owner end
  where {fence} and :to::text is not null and exists (select from closed where state <> 'surplus')
  returning deadline_at)
select state, budgets, reserved_usd, cost_usd, unknown, exists (select from moved) as moved,
  exists (select from moved where deadline_at < clock_timestamp()) as overdue from closed

-- name: doubt_intents
-- Those whose lease ran out, whatever their job's state; or, when it is `early`, those whose reply is known to be lost.
-- Their jobs' histories say so.
with doubted as (
  update calls set state = 'in_doubt', possibly_billed = true, failure_kind = 'in_doubt', lease_until = null,
    finished_at = clock_timestamp()
  where id = any(:calls::uuid[]) and state = 'intent' and (:early or lease_until < clock_timestamp())
  returning job_id, purpose, attempt, part)
update jobs set wake_at = case when :early then least(wake_at, clock_timestamp()) else wake_at end,
  history = history || jsonb_build_array(jsonb_build_object('kind', 'in_doubt',
    'purpose', doubted.purpose, 'attempt', doubted.attempt, 'model', jobs.model, 'remedy', 'retry',
    'message', 'the worker was lost while the call was open'))
from doubted where jobs.id = doubted.job_id
