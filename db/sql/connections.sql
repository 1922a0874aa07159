-- What is asked of a connection itself, before anything is asked of the tables.


-- name: set_up
-- Each new connection, in one round trip: its timeouts, and the number of the server process behind it.
select pg_backend_pid() as pid, set_config('idle_in_transaction_session_timeout', :abandoned, false) as abandoned,
  set_config('lock_timeout', :lock, false) as lock, set_config('statement_timeout', :statement, false) as statement

-- name: answers
select true

-- name: lock_timeout
select current_setting('lock_timeout')

-- name: set_lock_timeout
select set_config('lock_timeout', :value, false)
