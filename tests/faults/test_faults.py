"""Each fault of the list, on 300 jobs or more: nothing is lost, nothing is stored twice, the bill is the ledger."""

from __future__ import annotations

import base64
import json
import pickle
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from db.submit import Submission, submit
from tests.faults.conftest import POISON
from tests.faults.lab import CALL_DEADLINE_S, JOBS, QUEUE_NAMES, Lab, Trial, long_way, mixed, receipts
from tests.faults.report import keep

pytestmark = pytest.mark.timeout(900)

Make = Callable[[str, str], Trial]
slow = pytest.mark.slow


@slow
def test_prefork_children_are_killed(lab: Lab, trial: Make) -> None:
    run = trial("1", "kill -9 of prefork children, six times")
    lab.simulate("--latency-ms", "100")
    run.submit(long_way(run.receipts()))
    draw = random.Random(1)
    for kill in range(6):
        run.until(lambda kill=kill: run.answered() >= 40 * kill, 120)  # type: ignore[misc] # bound now
        run.until_at_work("cpu-1")
        draw.choice(lab.children("cpu-1")).kill()
    keep(run.finish(within_s=200))


@slow
def test_whole_workers_are_killed(lab: Lab, trial: Make) -> None:
    run = trial("2", "kill -9 of whole workers: io, cpu, io")
    lab.simulate("--latency-ms", "500")
    run.submit()
    for share, name in ((0.2, "io-1"), (0.4, "cpu-1"), (0.6, "io-2")):
        run.until_answered(share)
        run.until_made_again()
        run.until_at_work(name)
        lab.kill(name)
    keep(run.finish(within_s=200, paid_twice=True))


@slow
def test_calls_of_the_dead_are_made_again_at_once(lab: Lab, trial: Make) -> None:
    run = trial("2b", "kill -9 of all io workers at half of the jobs, with calls of a second open")
    lab.simulate("--latency-ms", "1000")
    keep(run.callers_die())


@slow
def test_workers_are_halted_and_go_on(lab: Lab, trial: Make) -> None:
    run = trial("3", "SIGSTOP of an io worker for 10 s, of the other, of cpu")
    lab.simulate("--latency-ms", "500")
    run.submit()
    for share, name in ((0.1, "io-1"), (0.3, "io-2"), (0.5, "cpu-1")):
        run.until_answered(share)
        run.until_at_work(name)
        halted = lab.pids[name]
        lab.signal(name, signal.SIGSTOP)
        time.sleep(10)
        assert lab.pids[name] == halted
        lab.signal(name, signal.SIGCONT)
    keep(run.finish(within_s=200, paid_twice=True))


@slow
def test_messages_are_lost_on_their_way_to_a_worker(lab: Lab, trial: Make) -> None:
    run = trial("4", "SIGSTOP, messages arrive, kill -9, four times")
    lab.simulate("--latency-ms", "300")
    for name in ("cpu-1", "io-1", "cpu-1", "io-2"):
        texts = run.receipts(JOBS // 4)
        if name == "cpu-1":  # which stands by until it is needed
            run.submit(long_way(texts[:1]))
            run.until(lambda: bool(lab.children("cpu-1")), 60)
        lab.signal(name, signal.SIGSTOP)
        run.submit(long_way(texts[1:]) if name == "cpu-1" else texts)
        time.sleep(2)  # what was pushed meanwhile went to a connection that nobody reads
        lab.kill(name)
    keep(run.finish(within_s=250, paid_twice=True))


@slow
def test_the_broker_is_killed_and_keeps_its_file(lab: Lab, trial: Make) -> None:
    run = trial("5", "kill -9 of Valkey with an append-only file, with countdowns pending")
    lab.simulate("--latency-ms", "300", "--fault", "rate_limited=0.3")
    run.submit()
    run.until_answered(0.2)
    run.until(lambda: run.count("jobs", "wait = 'countdown'") > 5, 60)
    alive = lab.pids
    lab.kill_server("broker")
    time.sleep(3)
    lab.repair("broker")
    run.repaired()
    assert lab.pids == alive, "a worker died with its broker"
    keep(run.finish(within_s=200))


@slow
def test_the_broker_is_killed_and_forgets_all(lab: Lab, trial: Make) -> None:
    run = trial("6", "kill -9 of Valkey without a file: all messages are gone")
    lab.simulate("--latency-ms", "300")
    run.submit()
    run.until_answered(0.3)
    lab.kill_server("broker")
    lab.wipe_broker()
    lab.repair("broker")
    run.repaired()
    keep(run.finish(within_s=200))


def test_all_connections_to_the_broker_are_cut(lab: Lab, trial: Make) -> None:
    run = trial("7", "CLIENT KILL TYPE normal, five times")
    lab.simulate("--latency-ms", "300")
    run.submit()
    with lab.broker_client() as client:
        for cut in range(5):
            run.until_answered(0.15 * cut)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    run.repaired()
    keep(run.finish(within_s=200))


@slow
def test_the_broker_takes_nothing_more(lab: Lab, trial: Make) -> None:
    run = trial("8", "CONFIG SET maxmemory 1, for 8 s, with retries under way")
    lab.simulate("--latency-ms", "300", "--fault", "rate_limited=0.3")
    run.submit()
    run.until_answered(0.2)
    with lab.broker_client() as client:
        client.config_set("maxmemory", 1)
        time.sleep(8)
        client.config_set("maxmemory", 0)
    run.repaired()
    keep(run.finish(within_s=200))


@slow
def test_the_broker_falls_silent(lab: Lab, trial: Make) -> None:
    run = trial("9", "nothing passes to or from the broker for 60 s")
    lab.simulate("--latency-ms", "300")
    run.submit()
    run.until_answered(0.2)
    lab.broker.fall_silent()
    time.sleep(60)
    lab.broker.mend()
    run.repaired()
    keep(run.finish(within_s=250))


@slow
def test_the_database_falls_silent(lab: Lab, trial: Make) -> None:
    run = trial("10", "nothing passes to or from Postgres for 60 s, while answers arrive")
    lab.simulate("--latency-ms", "1000")
    run.submit()
    run.until_answered(0.3)
    run.until(lambda: run.count("calls", "state = 'intent'") > 10, 60)
    lab.postgres.fall_silent()
    time.sleep(60)
    lab.postgres.mend()
    run.repaired()
    keep(run.finish(within_s=250))


@slow
def test_the_database_is_killed(lab: Lab, trial: Make) -> None:
    run = trial("11", "kill -9 of Postgres and its children, while answers arrive")
    lab.simulate("--latency-ms", "1000")
    run.submit()
    run.until_answered(0.3)
    run.until(lambda: run.count("calls", "state = 'intent'") > 10, 60)
    lab.kill_server("postgres")
    time.sleep(2)
    lab.repair("postgres")
    lab.engine.dispose()
    run.repaired()
    keep(run.finish(within_s=200))


PROVIDER_FAULTS = (
    "hang=0.03", "drip_headers=0.03", "drip_body=0.03", "rate_limited=0.1", "server_error=0.05",
    "overloaded=0.05", "cut=0.05", "malformed=0.1", "truncated=0.03",
)  # fmt: skip


@slow
def test_the_provider_fails_in_every_way(lab: Lab, trial: Make) -> None:
    run = trial("12", "provider: hang, drip, 429, 500, 503, cut after the head, truncated and malformed JSON")
    faults = [part for fault in PROVIDER_FAULTS for part in ("--fault", fault)]
    lab.simulate("--latency-ms", "200", "--seed", "12", *faults)
    run.submit()
    run.until(lambda: run.ended() == JOBS, 280)
    # What the provider spoils again and again goes to a person, or fails: neither is lost.
    states = run.states()
    assert states["done"] >= 0.9 * JOBS, states
    keep(run.finish(within_s=1, states=states, paid_twice=True))


@slow
def test_poison_fails_alone(lab: Lab, trial: Make) -> None:
    run = trial("13", "documents whose checks exit, never end, or take a gigabyte")
    lab.simulate("--latency-ms", "100")
    run.submit(mixed(run.receipts(JOBS // 2)))
    for name in POISON:
        told = [f"Label: a document that {name}", f"Label: another that {name}"]
        run.submit(mixed(told), name)
    run.submit(mixed(run.receipts(JOBS // 2)))
    row = run.finish(within_s=700, states={"done": JOBS, "failed": 2 * len(POISON)})
    failed = lab.query(
        "select failure ->> 'kind' as kind from jobs where id = any(:jobs) and state = 'failed'", jobs=run.jobs
    )
    assert {each.kind for each in failed} == {"poison"}
    keep(row)


SERVED = tuple(queue for queue in QUEUE_NAMES if queue != "ocr")
"""Where nobody submits a scan, OCR's worker stands by and takes nothing."""


@slow
def test_the_queues_hold_garbage(lab: Lab, trial: Make) -> None:
    run = trial("14", "garbage bytes, a pickled message and an unknown task in each queue that is served")
    lab.simulate("--latency-ms", "300")
    with lab.engine.begin() as connection:  # quarantine's worker, too, stands by until a job needs it
        body = receipts(1, of=f"14/{time.time_ns()}")[0].encode()
        run.jobs.append(submit(connection, Submission(prompt="receipt", body=body)))
        connection.execute(text("update jobs set crashes = 2 where id = :job"), {"job": run.jobs[0]})
    run.submit()
    for name in ("quarantine-1", "cpu-1"):
        run.until(lambda name=name: bool(lab.children(name)), 60)  # type: ignore[misc] # bound now
    with lab.broker_client() as client:
        for share, message in ((0.2, b"\x80\xffgarbage"), (0.4, _message("pickle")), (0.6, _message("json"))):
            run.until_answered(share)
            for queue in SERVED:
                client.lpush(f"docmill:{queue}", message)
    run.repaired()
    keep(run.finish(within_s=250, paid_twice=True))


def _message(kind: str) -> bytes:
    """As kombu puts it into Redis: of a task that nobody knows, or with a body that must not be unpickled."""
    body = pickle.dumps([[], {}, {}]) if kind == "pickle" else json.dumps([[], {}, {}]).encode()
    properties = {
        "correlation_id": "0",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "bulk"},
        "body_encoding": "base64",
        "delivery_tag": str(uuid4()),
    }
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-encoding": "binary" if kind == "pickle" else "utf-8",
            "content-type": "application/x-python-serialize" if kind == "pickle" else "application/json",
            "headers": {"lang": "py", "task": "docmill.unheard_of", "id": str(uuid4()), "retries": 0},
            "properties": properties,
        }
    ).encode()


@slow
def test_workers_are_stopped_in_turn(lab: Lab, trial: Make) -> None:
    run = trial("15", "a rolling restart under load: SIGTERM to each worker in turn")
    lab.simulate("--latency-ms", "500")
    run.submit()
    for name in ("io-1", "cpu-1", "io-2"):
        before = lab.pids[name]
        run.until_answered(0.2)
        run.until_at_work(name)
        asked = time.monotonic()
        lab.signal(name, signal.SIGTERM)
        run.until(lambda name=name, before=before: lab.pids[name] != before, 60)  # type: ignore[misc] # bound now
        assert time.monotonic() - asked < CALL_DEADLINE_S + 30
    assert run.count("drives", "due_at is not null") == 0, "a stopped worker must hand back what it has not begun"
    keep(run.finish(within_s=200))


@slow
def test_workers_are_told_to_quit(lab: Lab, trial: Make) -> None:
    run = trial("16", "SIGQUIT to each worker in turn")
    lab.simulate("--latency-ms", "500")
    run.submit()
    for share, name in ((0.2, "io-1"), (0.4, "cpu-1"), (0.6, "io-2")):
        run.until_answered(share)
        run.until_at_work(name)
        lab.signal(name, signal.SIGQUIT)
    keep(run.finish(within_s=200, paid_twice=True))


def test_messages_come_twice(lab: Lab, trial: Make) -> None:
    run = trial("18", "a fifth of all messages twice; one idempotency key 50 times at once")
    lab.simulate("--latency-ms", "300")
    key = Submission(
        prompt="receipt", body=receipts(1, of="18/key")[0].encode(), idem_key=f"fault-18-{time.time_ns()}"
    )

    def once(_: int) -> int:
        with lab.engine.begin() as connection:
            return submit(connection, key)

    with ThreadPoolExecutor(10) as pool:
        same = set(pool.map(once, range(50)))
    assert len(same) == 1
    run.submit()
    run.jobs += same
    doubled = run.double(seed=18)
    assert doubled > JOBS // 5
    keep(run.finish(within_s=200))


@slow
def test_the_spool_is_on_a_full_disk(lab: Lab, trial: Make) -> None:
    run = trial("19", "the database goes while answers arrive, and the spool's disk is full")
    lab.simulate("--latency-ms", "1000")
    run.submit()
    with full_disk(lab.data / "spool"):
        run.until_answered(0.3)
        run.until(lambda: run.count("calls", "state = 'intent'") > 10, 60)
        lab.postgres.close()
        time.sleep(8)
        lab.postgres.mend()
        run.repaired()
        row = run.finish(within_s=250, paid_twice=True)
    keep(row)


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root alone")
    (folder / "filler").write_bytes(b"x" * 4096)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@slow
def test_the_same_document_many_times_is_one_call(lab: Lab, trial: Make) -> None:
    run = trial("18b", "one document 300 times at once, and its leader's worker killed")
    lab.simulate("--latency-ms", "3000")
    run.submit(receipts(1, of=f"18b/{time.time_ns()}") * JOBS)
    run.until(lambda: run.count("calls", "state = 'intent'") == 1, 60)
    owner = lab.query(
        "select owner from jobs where id = any(:jobs) and stage = 'complete' and wait = 'running'", jobs=run.jobs
    )
    lab.kill(owner[0].owner.partition("@")[0].rpartition("-")[0])  # without its stack
    row = run.finish(within_s=200, paid_twice=True)
    assert row.started <= 2
    keep(row)
