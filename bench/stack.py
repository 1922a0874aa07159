"""A stack to measure: started as a user starts it, with what each of its processes takes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil
from sqlalchemy import Engine, text

from db.engine import make_engine
from db.submit import Submission, submit_many
from workers.stack.places import scratch

__all__ = ["MeasuredStack", "cpu_seconds", "family", "stack", "workers_pss"]

WORKERS = ("io", "cpu", "ocr", "quarantine")


ANY_OPEN = """
select exists (select from jobs where state = 'queued') or exists (select from jobs where state = 'running')
  or exists (select from jobs where state = 'held')
"""
WRITTEN = """
select pg_current_wal_insert_lsn() - '0/0', n_tup_upd, n_tup_hot_upd
from pg_stat_user_tables where relname = 'jobs'
"""


class Written(NamedTuple):
    """What a database has written, in all."""

    log_bytes: int
    updates_of_jobs: int
    hot: int
    """Of these updates, those that touched no index."""


@dataclass(frozen=True, kw_only=True)
class MeasuredStack:
    """``docmill up``, and what runs in it."""

    addresses: Mapping[str, str]
    pids: Mapping[str, int]
    engine: Engine
    data: Path

    def kill(self, name: str) -> None:
        """Kills what runs under that name now; the stack starts another in its place."""
        os.kill(self.pids_now()[name], signal.SIGKILL)

    def pids_now(self) -> dict[str, int]:
        """What runs by now; the stack starts another in the place of what ended."""
        return pids_of(self.data)

    def submit(self, bodies: list[bytes], prompt: str) -> None:
        """All in one transaction, as `docmill submit` does it."""
        submissions = (Submission(prompt=prompt, body=body, name=f"{at}.txt") for at, body in enumerate(bodies))
        with self.engine.begin() as connection:
            submit_many(connection, submissions)

    def await_ends(self) -> None:
        """Until no job waits for anything; asked seldom, as the question takes its time from what is measured."""
        while True:
            with self.engine.connect() as connection:
                if not connection.execute(text(ANY_OPEN)).scalar():
                    return
            time.sleep(0.2)

    def written(self) -> Written:
        """What the database has written so far; of updates each process tells within seconds."""
        with self.engine.connect() as connection:
            return Written(*connection.execute(text(WRITTEN)).one())

    def cpu_seconds(self) -> dict[str, float]:
        """Seconds of CPU that each part has taken so far, with children that run and children that ended."""
        return {name: cpu_seconds(pid) for name, pid in self.pids.items()}

    def workers_cpu_seconds(self) -> float:
        return sum(taken for name, taken in self.cpu_seconds().items() if name.startswith(WORKERS))

    def workers_pss(self) -> dict[str, int]:
        return workers_pss(self.data)


def pids_of(data: Path) -> dict[str, int]:
    """What runs by now on a data folder."""
    found: dict[str, int] = json.loads((data / "ready.json").read_text(encoding="utf-8"))["pids"]
    return found


def workers_pss(data: Path) -> dict[str, int]:
    """Bytes of memory of each worker that runs by now, children included; of shared pages its part."""
    return {name: pss_bytes(pid) for name, pid in pids_of(data).items() if name.startswith(WORKERS)}


@contextmanager
def stack(*options: str, **env: str) -> Iterator[MeasuredStack]:
    """A running stack; ``options`` are those of ``docmill up``, ``env`` its environment beside this one's."""
    with scratch("bench") as data:
        ready = data / "up.json"
        command = [
            sys.executable,
            "-m",
            "docmill",
            "up",
            "--data",
            str(data / "stack"),
            "--ready-file",
            str(ready),
        ]
        up = subprocess.Popen([*command, *options], env={**os.environ, **env}, stdout=subprocess.DEVNULL)
        try:
            while not ready.exists():
                if up.poll() is not None:
                    sys.exit("the stack did not come up: run `docmill up` to see why")
                time.sleep(0.05)
            addresses = json.loads(ready.read_text(encoding="utf-8"))
            engine = make_engine(addresses["database_url"])
            yield MeasuredStack(addresses=addresses, pids=addresses["pids"], engine=engine, data=data / "stack")
            engine.dispose()
        finally:
            up.terminate()
            up.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process and all that it has started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has taken so far, with its children, those that ended too."""
    times = [each.cpu_times() for each in family(pid)]
    return float(sum(each.user + each.system + each.children_user + each.children_system for each in times))


def pss_bytes(pid: int) -> int:
    """Memory of a process and of its children, one of which may just have ended."""
    taken = 0
    for each in family(pid):
        with suppress(psutil.NoSuchProcess):
            taken += each.memory_full_info().pss
    return taken
