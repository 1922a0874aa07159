"""A fleet to be broken: real servers behind proxies, a simulated provider, and ``docmill up`` over all of them.

A :class:`Trial` is one fault: it submits jobs, waits until all have ended, checks what must hold whatever broke
(nothing lost, nothing stored twice, the provider's bill is the ledger), and says what it came to.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx
import kombu
import psutil
import redis
from amqp.exceptions import NotFound
from sqlalchemy import Engine, text

from db.engine import make_engine
from db.jobs import Drive
from db.migrations import upgrade
from db.submit import Submission, submit
from docmill.settings import load_settings
from tasks.celery import broker
from tasks.chain import publish
from tasks.queues import QUEUE_NAMES
from tests.faults.proxy import Proxy, Target
from tests.faults.report import Row, quantile
from tests.faults.servers import pgbouncer, rabbitmq
from workers.stack.ports import free_port
from workers.stack.process import Process
from workers.stack.servers import EmbeddedServers, ServerName

__all__ = [
    "CALL_DEADLINE_S",
    "COMMAND",
    "JOBS",
    "QUEUE_NAMES",
    "UNDER_WAY",
    "Lab",
    "Trial",
    "long_way",
    "mixed",
    "receipts",
]

COMMAND = (sys.executable, "-m", "docmill")
JOBS = 300
"""A trial's."""
CALL_DEADLINE_S = 5

UNDER_WAY = """
select id, epoch, stage, lane, chain, stage = 'validate' and crashes = 0 and redrives = 0
  and exists (select from documents where documents.id = document_id and short) as short
from jobs where wait in ('sent', 'running')
"""
"""Drives of the jobs that are on their way or at work, as they were published."""

# A result, once stored, stays as it is. Postgres itself tells on whoever breaks that.
WATCH_RESULTS = """
create table if not exists results_changed (job_id bigint, what text);
create or replace function tell_change() returns trigger language plpgsql security definer as $$
begin insert into results_changed values (old.job_id, tg_op); return null; end $$;
create or replace trigger results_watch after update or delete on results
  for each row execute function tell_change();
"""


def receipts(number: int, *, of: str = "") -> list[str]:
    """Different receipts, plain enough for the simulator; ``of`` sets those of one trial apart."""
    return [
        f"TEA HOUSE {of} {each}\n1 Sample Street\nDate: 2021-03-{1 + each % 28:02}\n"
        f"Green tea {each}.10\nTOTAL {each}.10\n"
        for each in range(number)
    ]


def long_way(texts: Sequence[str]) -> list[bytes]:
    """As documents that are not taken for short, for their NUL bytes: a cpu worker reads them, and checks answers."""
    return [each.encode("utf-16") for each in texts]


def mixed(texts: Sequence[str]) -> list[bytes]:
    """Every other text as a document that takes the long way; the rest are short, and one io worker's."""
    return [each.encode("utf-16" if place % 2 else "utf-8") for place, each in enumerate(texts)]


@dataclass(kw_only=True)
class Lab:
    """Everything that a trial may break. ``with Lab(data=…) as lab`` starts it, and ends all of it."""

    data: Path
    io_workers: int = 2
    cpu_workers: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    rabbitmq: bool = False
    """For a broker, in place of Valkey."""
    pooled: bool = False
    """Workers reach Postgres through PgBouncer in transaction mode."""
    engine: Engine = field(init=False)
    servers: EmbeddedServers = field(init=False)
    postgres: Proxy = field(init=False)
    broker: Proxy = field(init=False)
    pooler: Proxy | None = field(default=None, init=False)
    """Before PgBouncer, where it is used."""
    _others: list[Process] = field(default_factory=list, init=False)
    """Servers beside the embedded ones."""
    _bill: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False)
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _simulator: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _simulated: tuple[str, ...] = field(default=(), init=False)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        which: tuple[ServerName, ...] = ("postgres", "cache") if self.rabbitmq else ("postgres", "broker", "cache")
        self.servers = self._stack.enter_context(EmbeddedServers(self.data / "servers", which))
        sockets = self.data / "servers" / "sockets"
        self.postgres = self._stack.enter_context(Proxy(sockets / ".s.PGSQL.5432"))
        self.broker = self._stack.enter_context(
            Proxy(self._start_rabbitmq() if self.rabbitmq else sockets / "broker")
        )
        upgrade(self.servers.owner_url, application_url=self.servers.database_url)
        if self.pooled:  # whose role the upgrade has made
            self.pooler = self._stack.enter_context(Proxy(self._start_pooler()))
        self.engine = make_engine(self.servers.owner_url)
        self._stack.callback(self.engine.dispose)
        with self.engine.begin() as connection:
            connection.execute(text(WATCH_RESULTS))
        self.llm_port = free_port()
        self._stack.callback(self._end_simulator)
        self.simulate("--latency-ms", "300")
        self.start_fleet()
        self._stack.callback(self.stop_fleet)

    def _start_rabbitmq(self) -> Target:
        server, target = self._stack.enter_context(rabbitmq(self.data / "rabbitmq"))
        self._others.append(server)
        return target

    def _start_pooler(self) -> Target:
        server, target = pgbouncer(self.data / "pgbouncer", self.postgres.port)
        self._stack.callback(server.stop)
        server.spawn()
        server.await_ready()
        return target

    # --- the fleet ---

    def start_fleet(self) -> None:
        ready = self.data / "up.json"
        ready.unlink(missing_ok=True)
        command = [*COMMAND, "up", "--data", str(self.data / "stack"), "--ready-file", str(ready)]
        command += ["--io-workers", str(self.io_workers), "--cpu-workers", str(self.cpu_workers)]
        with (self.data / "up.log").open("ab") as log:
            self.fleet = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        while not ready.exists():
            assert self.fleet.poll() is None, (self.data / "up.log").read_text()
            time.sleep(0.05)

    def stop_fleet(self) -> None:
        self.fleet.terminate()
        assert self.fleet.wait(timeout=180) == 0, (self.data / "up.log").read_text()

    @property
    def environment(self) -> dict[str, str]:
        """What a worker of this fleet needs."""
        database, amqp = self.pooler or self.postgres, f"amqp://guest:guest@127.0.0.1:{self.broker.port}//"
        urls = {
            "DATABASE": f"postgresql://docmill@127.0.0.1:{database.port}/docmill?sslmode=disable",
            "BROKER": amqp if self.rabbitmq else f"redis://127.0.0.1:{self.broker.port}/0",
            "CACHE": self.servers.cache_url,
            "LLM": f"http://127.0.0.1:{self.llm_port}",
        }
        return {
            **os.environ,
            **{f"DOCMILL_{name}_URL": url for name, url in urls.items()},
            "DOCMILL_CALL_DEADLINE_S": str(CALL_DEADLINE_S),
            "DOCMILL_IO_THREADS": "50",
            "DOCMILL_TASK_EVENTS": "false",
            "DOCMILL_SPOOL": str(self.data / "spool"),
            **self.env,
        }

    @property
    def pids(self) -> dict[str, int]:
        """As they are now: what died was started again."""
        found: dict[str, int] = json.loads((self.data / "stack" / "ready.json").read_text())["pids"]
        return found

    def signal(self, name: str, how: signal.Signals) -> None:
        """To a worker; one that is being started again just now is let off."""
        try:
            os.kill(self.pids[name], how)
        except ProcessLookupError:
            return

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)

    def sees(self, name: str, *, but: int) -> bool:
        """Whether a worker of that name, another process than that one, is at work."""
        pid = self.pids[name]
        found = self.query("select 1 from workers where process like :process", process=f"{name}-%#{pid}.%")
        return pid != but and bool(found)

    def open_slots(self) -> int:
        """How many calls the fleet's limits count as open."""
        with redis.Redis.from_url(self.servers.cache_url) as cache:
            return sum(cache.zcard(calls) for calls in cache.scan_iter("docmill:limit:*}:open"))

    def children(self, name: str) -> list[psutil.Process]:
        """A prefork worker's, which do its work."""
        return [
            each for each in psutil.Process(self.pids[name]).children() if _runs(each, "celery", "workers.standby")
        ]

    def apart(self, name: str) -> list[psutil.Process]:
        """An io worker's processes that read short documents and judge replies to them."""
        children = psutil.Process(self.pids[name]).children()
        return [each for each in children if _runs(each, "docmill.reading.child", "tasks.apart.child")]

    # --- the servers ---

    def kill_server(self, name: str) -> None:
        """With its children, and for good: :meth:`repair` starts it again."""
        process = self._server(name)
        assert process.pid is not None
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        for child in children:
            if child.is_running():
                child.kill()
        psutil.wait_procs(children, timeout=10)
        while process.running:
            time.sleep(0.02)

    def repair(self, name: str) -> None:
        process = self._server(name)
        process.spawn()
        process.await_ready()

    def wipe_broker(self) -> None:
        """While it is down: what it knew is gone."""
        shutil.rmtree(self.data / "servers" / "broker")

    def _server(self, name: str) -> Process:
        return next(each for each in (*self.servers.processes, *self._others) if each.name == name)

    def broker_client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.data / "servers" / "sockets" / "broker"), socket_timeout=10)

    def queued(self) -> dict[str, int]:
        """Messages in the broker, by queue; empty ones left out."""
        if self.rabbitmq:
            found = self._queued_in_rabbitmq()
        else:
            with self.broker_client() as client:
                found = {name: int(client.llen(f"docmill:{name}")) for name in QUEUE_NAMES}
        return {name: number for name, number in found.items() if number}

    def _queued_in_rabbitmq(self) -> dict[str, int]:
        with kombu.Connection(self.environment["DOCMILL_BROKER_URL"]) as connection:
            return {name: _held_in_rabbitmq(connection, name) for name in QUEUE_NAMES}

    @contextmanager
    def publisher(self) -> Iterator[Callable[[Sequence[Drive]], None]]:
        """Publishes chains as a worker does, from this process."""
        app = broker.connect(load_settings(broker_url=self.environment["DOCMILL_BROKER_URL"]))
        yield publish
        app.close()

    # --- the provider ---

    def simulate(self, *options: str) -> None:
        """A provider with these options at the same address as before; nothing is done if it has them."""
        if options == self._simulated and self._simulator is not None:
            return
        self._end_simulator()
        ready = self.data / "simulator.json"
        ready.unlink(missing_ok=True)
        command = [*COMMAND, "simulate", "--port", str(self.llm_port), "--ready-file", str(ready), *options]
        self._simulator = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._simulated = options
        while not ready.exists():
            assert self._simulator.poll() is None
            time.sleep(0.05)

    def bill(self) -> dict[str, Mapping[str, Any]]:
        """All that was ever billed, by call id."""
        lines = httpx.get(f"http://127.0.0.1:{self.llm_port}/bill", timeout=30).text.splitlines()
        self._bill.update({line["id"]: line for line in map(json.loads, lines)})
        return self._bill

    def _end_simulator(self) -> None:
        if self._simulator is None:
            return
        self.bill()
        self._simulator.terminate()
        self._simulator.wait()
        self._simulator = None

    # --- the database, past the proxy ---

    def query(self, statement: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values).all())

    def trial(self, fault: str, what: str) -> Trial:
        return Trial(lab=self, fault=fault, what=what)


def _held_in_rabbitmq(connection: kombu.Connection, queue: str) -> int:
    """Messages; none in a queue that is not there, as its workers stand by."""
    with connection.channel() as channel:  # its own: a question that is refused closes it
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return 0


def _runs(process: psutil.Process, *either: str) -> bool:
    try:
        return any(each in " ".join(process.cmdline()) for each in either)
    except psutil.NoSuchProcess:  # or one that was killed, and that nobody has asked for yet
        return False


@dataclass(kw_only=True)
class Trial:
    """One fault, and what became of the jobs that it met."""

    lab: Lab
    fault: str
    """Its number in the list of docs/faults.md, and a letter where it comes in kinds."""
    what: str
    jobs: list[int] = field(default_factory=list)
    consuming_after_s: float | None = None
    """From a server's repair to a new job's end."""
    _began: float = field(default_factory=time.monotonic)

    def submit(
        self,
        texts: Sequence[str | bytes] | None = None,
        prompt: str = "receipt",
        *,
        name: str = "a.txt",
        **options: Any,
    ) -> list[int]:
        """The ids; without documents, as many receipts as a trial has, of which every other takes the long way."""
        if texts is None:
            texts = mixed(self.receipts())
        made = []
        with self.lab.engine.begin() as connection:
            for body in texts:
                encoded = body.encode() if isinstance(body, str) else body
                submission = Submission(prompt=prompt, body=encoded, name=name, **options)
                made.append(submit(connection, submission))
        self.jobs += made
        return made

    def receipts(self, number: int = JOBS) -> list[str]:
        """That no other trial has."""
        return receipts(number, of=f"{self.fault}/{len(self.jobs)}/{os.getpid()}")

    def count(self, table: str, condition: str) -> int:
        key = "id" if table == "jobs" else "job_id"
        statement = f"select count(*) as n from {table} where {key} = any(:jobs) and {condition}"
        return int(self.lab.query(statement, jobs=self.jobs)[0].n)

    def answered(self) -> int:
        return self.count("calls", "state = 'answered'")

    def ended(self) -> int:
        return self.count("jobs", "wait is null")

    def until_answered(self, share: float, within_s: float = 150) -> None:
        self.until(lambda: self.answered() >= share * len(self.jobs), within_s)

    def until_at_work(self, name: str, within_s: float = 60) -> None:
        """Until that worker, which may have stood by, has a job of the trial in its hands.

        More documents come where all have ended: a fast machine is through with them before it is that one's turn.
        """
        claimed = f"wait = 'running' and owner like '{name}-%'"

        def is_at_work() -> bool:
            if self.ended() == len(self.jobs):
                self.submit(mixed(self.receipts(JOBS // 3)))
            return self.count("jobs", claimed) > 0

        self.until(is_at_work, within_s)

    def until_made_again(self, within_s: float = 60) -> None:
        """Until each job whose caller died has ended: of one that loses two callers a person decides."""
        of_the_dead = "exists (select from calls where job_id = jobs.id and state = 'in_doubt')"
        self.until(lambda: not self.count("jobs", f"wait is not null and {of_the_dead}"), within_s)

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        give_up_at = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < give_up_at, (self.states(), self.open_jobs())
            time.sleep(0.1)

    def states(self) -> dict[str, int]:
        rows = self.lab.query(
            "select state, count(*) as n from jobs where id = any(:jobs) group by 1", jobs=self.jobs
        )
        return {row.state: row.n for row in rows}

    def failures(self) -> list[Any]:
        """Why jobs ended otherwise than done, with examples."""
        return self.lab.query(
            "select failure, stage, attempt, crashes, redrives, count(*) as n, min(id) as example from jobs"
            " where id = any(:jobs) and state <> 'done' group by 1, 2, 3, 4, 5 order by n desc limit 5",
            jobs=self.jobs,
        )

    def open_jobs(self) -> list[Any]:
        return self.lab.query(
            "select id, stage, wait, epoch, attempt, redrives, crashes, wake_at - clock_timestamp() as wakes"
            " from jobs where id = any(:jobs) and wait is not null order by id limit 5",
            jobs=self.jobs,
        )

    def double(self, *, seed: int) -> int:
        """Publishes a fifth of what is under way once more, until all jobs have ended; how many messages that were."""
        draw, doubled = random.Random(seed), 0
        with self.lab.publisher() as publish:
            while self.ended() < len(self.jobs):
                under_way = self.lab.query(f"{UNDER_WAY} and id = any(:jobs)", jobs=self.jobs)
                for row in under_way:
                    if draw.random() < 0.2:
                        publish([Drive(**row._mapping, quarantined=False)])
                        doubled += 1
                time.sleep(0.2)
        return doubled

    def repaired(self) -> None:
        """A server has just come back: a new job must be through within a minute."""
        began = time.monotonic()
        (probe,) = self.submit(receipts(1, of=f"{self.fault}/probe/{time.time_ns()}"), lane="interactive")
        self.until(lambda: self.lab.query("select wait from jobs where id = :id", id=probe)[0].wait is None, 60)
        self.consuming_after_s = max(self.consuming_after_s or 0, time.monotonic() - began)

    def returned(self, *, within_s: float) -> None:
        """Workers have just come back: all jobs must end."""
        began = time.monotonic()
        self.until(lambda: self.ended() == len(self.jobs), within_s)
        self.consuming_after_s = time.monotonic() - began

    def callers_die(self, start_again: Callable[[], None] = lambda: None) -> Row:
        """SIGKILL for all io workers amid the calls of 300 jobs: soon after their return all must have ended.

        ``start_again`` starts them where no stack does. Only the calls of the dead may be made again.
        """
        self.submit()
        self.until_answered(0.5)
        self.until(lambda: self.count("calls", "state = 'intent'") > 5, 60)
        dead = {name: self.lab.pids[name] for name in ("io-1", "io-2")}
        for name in dead:
            self.lab.kill(name)
        start_again()
        self.until(lambda: all(self.lab.sees(name, but=dead[name]) for name in dead), 120)
        self.returned(within_s=30)  # where nobody judged, a lease would run out later
        row = self.finish(within_s=200, paid_twice=True)
        assert row.possibly_billed > 0, "no call was open"
        assert self.lab.open_slots() == 0, "the dead still have room of the limits"
        of_the_dead = " or ".join(f"owner like '{name}-%#{pid}.%'" for name, pid in dead.items())
        assert self.count("calls", "state = 'in_doubt'") == self.count(
            "calls", f"state = 'in_doubt' and ({of_the_dead})"
        )
        return row

    def finish(self, *, within_s: float, states: Mapping[str, int] | None = None, paid_twice: bool = False) -> Row:
        """Waits for the end of all jobs, checks what must hold, and tells the row of the table.

        ``states`` are the expected ends (None: all done). ``paid_twice`` says that the fault can cost calls
        (a worker that died with an open one), which the ledger then has to name.
        """
        self.until(lambda: self.ended() == len(self.jobs), within_s)
        self.until(lambda: not self.lab.queued(), 30)
        assert self.states() == (states or {"done": len(self.jobs)}), (self.states(), self.failures())
        self._check_results()
        calls = self._check_ledger(paid_twice=paid_twice)
        bill = self.lab.bill()
        late = self.lateness()
        assert (quantile(late, 0.95) or 0) < 30, late
        return Row(
            fault=self.fault,
            what=self.what,
            jobs=len(self.jobs),
            results=self.count("results", "true"),
            duplicates=self._duplicates(),
            started=len(calls),
            answered=_in_state(calls, {"answered"}),
            surplus=_in_state(calls, {"surplus"}),
            possibly_billed=sum(row.possibly_billed for row in calls.values()),
            of_these_billed=sum(calls[call].possibly_billed for call in calls.keys() & bill.keys()),
            redriven=self.count("drives", "(due_at is not null or cause = 'broker began anew')"),
            late_p50_s=quantile(late, 0.5),
            late_p95_s=quantile(late, 0.95),
            late_max_s=max(late, default=None),
            consuming_after_s=self.consuming_after_s,
            took_s=time.monotonic() - self._began,
        )

    def lateness(self) -> list[float]:
        """Seconds from the time when somebody had to look at a stuck job until it was driven again."""
        rows = self.lab.query(
            "select extract(epoch from at - due_at)::float as s from drives"
            " where job_id = any(:jobs) and due_at is not null order by 1",
            jobs=self.jobs,
        )
        return [row.s for row in rows]

    def _check_results(self) -> None:
        """One result for each job that is done, none for one that failed, and none was ever changed."""
        found = self.lab.query(
            "select j.id, j.state, count(r.job_id) as n from jobs j left join results r on r.job_id = j.id"
            " where j.id = any(:jobs) group by 1, 2",
            jobs=self.jobs,
        )
        assert len(found) == len(set(self.jobs))
        wrong = [row for row in found if row.n != (row.state == "done") and row.state != "needs_review"]
        assert not wrong, wrong[:5]
        assert self._duplicates() == 0

    def _duplicates(self) -> int:
        changed = self.lab.query(
            "select count(*) as n from results_changed where job_id = any(:jobs)", jobs=self.jobs
        )
        return self.count("results", "revision > 1") + int(changed[0].n)

    def _check_ledger(self, *, paid_twice: bool) -> dict[str, Any]:
        """The provider's bill and the ledger, line by line; the calls that were sent, by id."""
        calls = {
            str(row.id): row
            for row in self.lab.query(
                "select id, job_id, attempt, state, model, input_tokens, output_tokens, cost_usd, possibly_billed"
                " from calls where job_id = any(:jobs) and state <> 'cached'",
                jobs=self.jobs,
            )
        }
        known = {str(row.id) for row in self.lab.query("select id from calls")}
        bill = self.lab.bill()
        assert set(bill) <= known, "the provider billed calls without an intent"
        for call, row in calls.items():
            line = bill.get(call)
            if row.state in ("answered", "surplus"):
                assert line is not None, row
                figures = (line["model"], line["input_tokens"], line["output_tokens"], Decimal(line["cost_usd"]))
                assert (row.model, row.input_tokens, row.output_tokens, row.cost_usd) == figures
            else:
                assert row.state in ("failed", "in_doubt"), row
                assert line is None or row.possibly_billed, row
        if not paid_twice:
            extra = [row for row in calls.values() if row.state == "surplus" or row.possibly_billed]
            assert not extra, extra[:5]
        return calls


def _in_state(calls: Mapping[str, Any], states: Collection[str]) -> int:
    return sum(row.state in states for row in calls.values())
