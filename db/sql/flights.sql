-- Single-flight: the same work wanted by several jobs at once. What holds and frees them stands in transitions.sql.


-- fragment: spent_on_job
-- The model that answered a job last, and what all its calls cost; null where a price is unknown.
select (array_agg(model order by started_at desc))[1] as model,
  case when count(*) = count(cost_usd) then sum(cost_usd) end as usd
from calls where job_id = :job and state = 'answered'

-- name: peek
-- What a call would meet: its model's state, and another job that leads the same work.
select {model_state}, exists (
    select from flights where key = :key and job_id <> :id and {has_leader}) as led
from (select 1) as one left join model_state on account = :account and model = :model

-- name: answered_lately
{answered_lately}

-- name: spent_on_job
{spent_on_job}

-- name: lock_led
select from flights where job_id = :id for update

-- name: end_led
delete from flights where job_id = :id returning key

-- name: end_of_leader
select state, failure ->> 'kind' as kind from jobs where id = :id
