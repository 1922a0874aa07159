"""Who runs in the bench of peers: docmill, and what a user would take instead, started on the same servers.

The peers are in :mod:`bench.peers_of`'s folder and run in an environment of their own, which is made once.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, LiteralString, Protocol

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import Engine, text

from db.engine import make_engine
from db.submit import Submission, submit_many
from workers.stack.servers import EmbeddedServers

__all__ = ["CONTENDERS", "Contender", "Place", "Running", "environment", "processes_of"]

PEERS_OF = Path(__file__).parent / "peers_of"
SLOTS = 100
"""Documents under way at once."""
PROCESSES = 16
"""Of prefork, whose children have one document each."""
NO_WORKERS = ("api", "flower")
NUMBERS = count()


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a contender runs on."""

    servers: EmbeddedServers
    llm_url: str
    data: Path
    bodies: Sequence[str]
    """All documents; each is known by its index."""


class Running(Protocol):
    """A contender's workers, at work."""

    def submit(self, first: int, last: int) -> None: ...
    def ended(self) -> int:
        """Documents of this run whose answers are stored."""
        ...

    def doubled(self) -> int:
        """Documents of this run whose answer was stored more than once."""
        ...

    def pids(self) -> list[int]:
        """Of its workers; their children are theirs."""
        ...

    def kill(self) -> None:
        """SIGKILL to all that works, and a start of the same anew, at once."""
        ...

    def billed(self, ids: Iterable[str]) -> Counter[str]:
        """How often each document was paid for."""
        ...

    def told(self) -> int | None:
        """Calls that it says may have been paid in vain; None for who does not know."""
        ...


class Contender(Protocol):
    @property
    def name(self) -> str: ...

    def start(self, place: Place) -> AbstractContextManager[Running]: ...


# --- docmill ---


@dataclass(kw_only=True)
class RunningDocmill:
    engine: Engine
    place: Place
    ready: Path
    jobs: list[int] = field(default_factory=list)

    def submit(self, first: int, last: int) -> None:
        bodies = self.place.bodies[first:last]
        with self.engine.begin() as connection:
            self.jobs += submit_many(
                connection, (Submission(prompt="receipt", body=body.encode(), name="a.txt") for body in bodies)
            )

    def ended(self) -> int:
        return self._count("select count(*) from jobs where id = any(:jobs) and state = 'done'")

    def doubled(self) -> int:
        return self._count("select count(*) from results where job_id = any(:jobs) and revision > 1")

    def told(self) -> int:
        return self._count("select count(*) from calls where job_id = any(:jobs) and possibly_billed")

    def pids(self) -> list[int]:
        return list(self._workers().values())

    def kill(self) -> None:
        """The workers that call, and the one that reads; the stack itself starts them again."""
        end(*(pid for name, pid in self._workers().items() if name.startswith(("io", "cpu"))))

    def billed(self, ids: Iterable[str]) -> Counter[str]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("select id::text, job_id::text from calls")).all()
        job_of = {row.id: row.job_id for row in rows}
        return Counter(job_of[each] for each in ids)

    def _count(self, statement: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(statement), {"jobs": self.jobs}).scalar_one())

    def _workers(self) -> dict[str, int]:
        pids: dict[str, int] = json.loads(self.ready.read_text(encoding="utf-8"))["pids"]
        return {name: pid for name, pid in pids.items() if name not in NO_WORKERS}


@dataclass(frozen=True, kw_only=True)
class Docmill:
    name: str = "docmill"

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        data = place.data / f"up-{next(NUMBERS)}"
        env = {
            "DATABASE_URL": place.servers.database_url,
            "DATABASE_OWNER_URL": place.servers.owner_url,
            "BROKER_URL": place.servers.broker_url,
            "CACHE_URL": place.servers.cache_url,
            "LLM_URL": place.llm_url,
            "TASK_EVENTS": "false",
            "IO_THREADS": str(SLOTS),
        }
        with (place.data / "docmill.log").open("ab") as log:
            up = subprocess.Popen(
                [sys.executable, "-m", "docmill", "up", "--data", str(data)],
                env={**os.environ, **{f"DOCMILL_{name}": value for name, value in env.items()}},
                stdout=log,
                stderr=log,
            )
        engine = make_engine(place.servers.owner_url)
        try:
            ready = data / "ready.json"
            while not ready.exists():
                if up.poll() is not None:
                    sys.exit((place.data / "docmill.log").read_text(encoding="utf-8")[-2000:])
                time.sleep(0.05)
            yield RunningDocmill(engine=engine, place=place, ready=ready)
        finally:
            engine.dispose()
            up.terminate()
            up.wait()


# --- its peers ---


@dataclass(kw_only=True)
class RunningPeer:
    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    submitter: subprocess.Popen[str]
    connection: psycopg.Connection
    worker: subprocess.Popen[bytes] = field(init=False)

    def submit(self, first: int, last: int) -> None:
        tell, hear = pipes(self.submitter)
        tell.write(f"{first} {last}\n")
        tell.flush()
        await_line(hear, "submitted", self.log)

    def ended(self) -> int:
        return self._count("select count(*) from answers")

    def doubled(self) -> int:
        return self._count("select count(*) from answers where stored > 1")

    def told(self) -> None:
        return None

    def pids(self) -> list[int]:
        return [self.worker.pid]

    def kill(self) -> None:
        end(self.worker.pid)
        self.worker.wait()
        self.work()

    def work(self) -> None:
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(self.command, cwd=PEERS_OF, env=self.env, stdout=log, stderr=log)

    def billed(self, ids: Iterable[str]) -> Counter[str]:
        return Counter(ids)

    def _count(self, statement: LiteralString) -> int:
        row = self.connection.execute(statement).fetchone()
        assert row is not None
        return int(row[0])


@dataclass(frozen=True, kw_only=True)
class Peer:
    """``script`` submits when it is run, and works by ``work``."""

    name: str
    script: str
    work: tuple[str, ...] = ("{python}", "{script}", "work")
    slots: int = SLOTS

    @contextmanager
    def start(self, place: Place) -> Iterator[Running]:
        database, python = f"peer_{next(NUMBERS)}", str(environment())
        env = {**os.environ, **self._addresses(place, database)}
        log = place.data / f"{self.script}.log"
        admin = psycopg.connect(place.servers.owner_url, autocommit=True)
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(database)))
        with log.open("ab") as errors:
            submitter = subprocess.Popen(
                [python, self.script], cwd=PEERS_OF, env=env, stderr=errors,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
        await_line(pipes(submitter)[1], "ready", log)
        command = [part.format(python=python, script=self.script) for part in self.work]
        with psycopg.connect(env["PEERS_DATABASE"], autocommit=True) as connection:
            peer = RunningPeer(command=command, env=env, log=log, submitter=submitter, connection=connection)
            peer.work()
            try:
                yield peer
            finally:
                end(peer.worker.pid)
                peer.worker.wait()
                submitter.kill()
                submitter.wait()
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(database)))
        admin.close()

    def _addresses(self, place: Place, database: str) -> dict[str, str]:
        documents = place.data / "documents.json"
        documents.write_text(json.dumps(list(place.bodies)), encoding="utf-8")
        return {
            "PEERS_DATABASE": place.servers.owner_url.replace("/docmill?", f"/{database}?"),
            "PEERS_BROKER": place.servers.broker_url,
            "PEERS_QUEUE": database,  # what another run left behind is nobody's
            "PEERS_LLM": place.llm_url,
            "PEERS_CONCURRENCY": str(self.slots),
            "PEERS_DOCUMENTS": str(documents),
        }


CELERY = ("{python}", "-m", "celery", "-A", "celery_chain", "worker", "--loglevel", "WARNING")
CONTENDERS: tuple[Contender, ...] = (
    Docmill(),
    Peer(
        name="Celery chain (threads)",
        script="celery_chain.py",
        work=(*CELERY, "--pool", "threads", "--concurrency", str(SLOTS)),
    ),
    Peer(
        name="Celery chain (prefork)",
        script="celery_chain.py",
        work=(*CELERY, "--pool", "prefork", "--concurrency", str(PROCESSES)),
        slots=PROCESSES,
    ),
    Peer(name="DBOS", script="dbos_workflow.py"),
    Peer(name="procrastinate", script="procrastinate_task.py"),
    Peer(name="Instructor", script="instructor_asyncio.py"),
)


def environment() -> Path:
    """The Python of the peers' environment, which is made where it is not there yet, by name and version."""
    requirements = PEERS_OF / "requirements.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = hashlib.sha256(f"{sys.version}\n{requirements.read_text(encoding='utf-8')}".encode()).hexdigest()
    folder = cache / "docmill" / f"peers-{version[:12]}"
    python, whole = folder / "bin" / "python", folder / ".installed"
    if not whole.exists():
        print(f"installing the peers into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        whole.touch()
    return python


def processes_of(pid: int) -> list[psutil.Process]:
    """A process and all that it started; none where it has ended."""
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def end(*pids: int) -> None:
    """By SIGKILL, with all that they started."""
    for each in [child for pid in pids for child in processes_of(pid)]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue


def pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout


def await_line(stream: IO[str], word: str, log: Path) -> None:
    line = stream.readline()
    if line.strip() != word:
        sys.exit(f"a peer did not come up:\n{log.read_text(encoding='utf-8')[-2000:]}")
