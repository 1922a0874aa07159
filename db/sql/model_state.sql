-- What the fleet has learned of a model of an account: holds, and what it rejects.


-- fragment: model_state
greatest(0, coalesce(extract(epoch from hold_until - clock_timestamp()), 0))::float as hold_s, hold_cause, learned

-- name: state
select {model_state} from model_state where account = :account and model = :model

-- name: hold
insert into model_state (account, model, hold_until, hold_cause)
values (:account, :model, clock_timestamp() + make_interval(secs => :for_s), :cause)
on conflict (account, model) do update set hold_until = excluded.hold_until, hold_cause = excluded.hold_cause

-- name: take_probe
update model_state set hold_until = clock_timestamp() + make_interval(secs => :for_s)
where account = :account and model = :model and hold_cause is not null and hold_until <= clock_timestamp()

-- name: probe_soon
update model_state set hold_until = least(hold_until, clock_timestamp()) where hold_cause = any(:causes)

-- name: release
update model_state set hold_until = null, hold_cause = null where account = :account and model = :model

-- name: add
insert into model_state (account, model) values (:account, :model) on conflict do nothing

-- name: lock
select learned from model_state where account = :account and model = :model for update

-- name: learn
update model_state set learned = :learned::jsonb where account = :account and model = :model
