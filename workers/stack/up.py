"""One command, the whole stack: servers, migrations, workers, and the simulator where no provider is set.

One foreground process without threads starts everything, starts again what dies, and stops all in order.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import httpx
import redis
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.engine import make_engine
from db.migrations import upgrade
from db.stages import RoleName
from docmill.errors import Misconfigured, ServiceAway
from docmill.settings import Settings
from tasks.celery import broker
from workers.roles import ROLES, worker_command
from workers.stack.addresses import READY, Addresses
from workers.stack.process import NotReady, Process
from workers.stack.servers import EmbeddedServers, ServerName

__all__ = ["Stack", "check_cache", "free_port"]

FLOWER_PASSWORD = "flower-password"  # noqa: S105 - the name of a file
"""A file of the data folder."""
WATCH_EVERY_S = 0.2
SHORT_LIFE_S = 10.0
MOST_SHORT_LIVES = 5
"""A program that dies so often so soon after its start will not live."""
STOPPING_S = 30.0
"""Beside the call deadline: how long a worker may take to end what it has begun."""


class Stack:
    """Everything that runs on one data folder.

    ``with Stack(settings, data) as stack: stack.watch()``. Raises Misconfigured and ServiceAway with what to do.
    """

    def __init__(self, settings: Settings, data: Path, *, io_workers: int = 1, cpu_workers: int = 1) -> None:
        self.data = data.absolute()
        self.addresses: Addresses
        self._settings = settings
        self._replicas: dict[RoleName, int] = {"io": io_workers, "cpu": cpu_workers, "quarantine": 1}
        self._stack = ExitStack()
        self._servers: EmbeddedServers
        self._programs: list[Process] = []
        self._deaths: dict[str, int] = {}
        self._stopping = False
        self._owns_data = False

    def __enter__(self) -> Stack:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def watch(self, on_event: Callable[[str], None]) -> None:
        """Until SIGINT or SIGTERM: starts again what dies. Raises ServiceAway for what will not live."""
        with _signals(self._ask_to_stop):
            while not self._stopping:
                for process in self._processes:
                    if not process.running:
                        self._again(process, on_event)
                time.sleep(WATCH_EVERY_S)

    def stop(self) -> None:
        """Workers first, which end what they have begun; then what they used, the last started first."""
        if self._owns_data:
            (self.data / READY).unlink(missing_ok=True)
        for process in self._programs:
            if process.name != "simulator":
                process.ask_to_stop()
        for process in reversed(self._programs):
            process.stop()
        self._programs.clear()
        self._stack.close()

    @property
    def _processes(self) -> list[Process]:
        return [*self._servers.processes, *self._programs]

    def _start(self) -> None:
        self._stack.enter_context(_locked(self.data))
        self._owns_data = True
        self._start_servers()
        upgrade(self.addresses.database_url, timezone=self._settings.timezone)
        self._start_simulator()
        for name in ROLES:
            for number in range(1, self._replicas[name] + 1):
                self._start_worker(name, number)
        self._start_beat()
        self._start_api()
        self._await_ready()
        self._start_flower()  # it asks the workers who they are once, at its start
        self._await_ready()
        self._tell()

    def _await_ready(self) -> None:
        for process in self._programs:
            process.await_ready()

    def _start_servers(self) -> None:
        settings = self._settings
        given: dict[ServerName, str | None] = {
            "postgres": settings.database_url,
            "broker": settings.broker_url,
            "cache": settings.cache_url,
        }
        which = [name for name, url in given.items() if url is None]
        self._servers = self._stack.enter_context(EmbeddedServers(self.data, which))
        self.addresses = Addresses(
            database_url=settings.database_url or self._servers.database_url,
            broker_url=settings.broker_url or self._servers.broker_url,
            cache_url=settings.cache_url or self._servers.cache_url,
            llm_url=settings.llm_url,
        )
        if settings.broker_url is not None:
            broker.check(broker.connect(settings))
        if settings.cache_url is not None:
            check_cache(settings.cache_url)

    def _start_simulator(self) -> None:
        if self._settings.llm_url is not None:
            return
        ready = self.data / "simulator.json"
        ready.unlink(missing_ok=True)

        def check() -> None:
            if not ready.exists():
                raise NotReady

        port = free_port()
        command = [
            sys.executable,
            "-m",
            "docmill",
            "simulate",
            "--port",
            str(port),
            "--ready-file",
            str(ready),
        ]
        simulator = self._add(Process(name="simulator", command=command, log=self._log("simulator"), check=check))
        simulator.await_ready()
        url = json.loads(ready.read_text(encoding="utf-8"))["url"]
        self.addresses = replace(self.addresses, simulator=url, llm_url=url)

    def _start_worker(self, role: RoleName, number: int) -> None:
        name = f"{role}-{number}"
        self._add(
            Process(
                name=name,
                command=worker_command(role, self._settings, name=name),
                env=self._env(),
                log=self._log(name),
                check=lambda: self._check_worker(name),
                stop_within_s=self._settings.call_deadline_s + STOPPING_S,
            )
        )

    def _start_beat(self) -> None:
        schedule = self.data / "beat-schedule"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--schedule", str(schedule)]
        self._add(
            Process(
                name="beat",
                command=[*command, "--pidfile", ""],
                env=self._env(),
                log=self._log("beat"),
                check=lambda: None,
            )
        )

    def _start_api(self) -> None:
        host, port = self._settings.api_host, self._settings.api_port or free_port()
        url = f"http://{host}:{port}"
        command = [sys.executable, "-m", "web", "--host", host, "--port", str(port)]
        self._add(
            Process(
                name="api",
                command=command,
                env=self._env(),
                log=self._log("api"),
                check=lambda: _check_http(f"{url}/readyz"),
            )
        )
        self.addresses = replace(self.addresses, api=url)

    def _start_flower(self) -> None:
        """Flower shows arguments of tasks and can end them, so it asks for a password, on loopback too."""
        port = self._settings.flower_port or free_port()
        url = f"http://127.0.0.1:{port}"
        # Flower would switch the workers' events on by itself, whatever their settings say.
        events = f"--enable_events={self._settings.task_events}"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "flower", events]
        self._add(
            Process(
                name="flower",
                command=[*command, "--address=127.0.0.1", f"--port={port}", "--purge_offline_workers=60"],
                env={**self._env(), "DOCMILL_FLOWER_PASSWORD": self._flower_password()},
                log=self._log("flower"),
                check=lambda: _check_http(f"{url}/healthcheck"),
            )
        )
        self.addresses = replace(self.addresses, flower=url)

    def _flower_password(self) -> str:
        """The settings' own, or one that is made once and kept where only the owner of the data can read it."""
        given = self._settings.flower_password
        if given is not None:
            return given.get_secret_value()
        path = self.data / FLOWER_PASSWORD
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(12))
        return path.read_text(encoding="utf-8")

    def _add(self, process: Process) -> Process:
        self._programs.append(process)
        process.spawn()
        return process

    def _env(self) -> dict[str, str]:
        urls = ("database_url", "broker_url", "cache_url", "llm_url")
        found = {f"DOCMILL_{name.upper()}": getattr(self.addresses, name) for name in urls}
        spool = self._settings.spool or self.data / "spool"
        return {**os.environ, **{key: url for key, url in found.items() if url}, "DOCMILL_SPOOL": str(spool)}

    def _check_worker(self, name: str) -> None:
        """A worker is ready once the fleet has seen it since its start."""
        process = next(each for each in self._programs if each.name == name)
        engine = make_engine(self.addresses.database_url, pool_size=1, probe=False)
        try:
            with engine.connect() as connection:
                seen = connection.execute(
                    text(
                        "select 1 from workers where name = :name"
                        " and seen_at > clock_timestamp() - make_interval(secs => :since)"
                    ),
                    {
                        "name": f"{name}@{socket.gethostname()}",
                        "since": time.monotonic() - process.started_at,
                    },
                ).first()
        except SQLAlchemyError as error:
            raise NotReady from error
        finally:
            engine.dispose()
        if seen is None:
            raise NotReady

    def _again(self, process: Process, on_event: Callable[[str], None]) -> None:
        short = time.monotonic() - process.started_at < SHORT_LIFE_S
        deaths = self._deaths[process.name] = self._deaths.get(process.name, 0) + 1 if short else 1
        if deaths > MOST_SHORT_LIVES:
            raise ServiceAway(f"{process.name} died {deaths} times in a row: {process.log} says why")
        on_event(f"{process.name} died; started again (its log: {process.log})")
        time.sleep(min(0.1 * 2**deaths, 2.0))
        process.spawn()
        self._tell()

    def _tell(self) -> None:
        pids = {process.name: process.pid for process in self._processes if process.pid is not None}
        self.addresses = replace(self.addresses, pids=pids)
        self.addresses.write(self.data / READY)

    def _log(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    def _ask_to_stop(self) -> None:
        self._stopping = True


@contextmanager
def _locked(data: Path) -> Iterator[None]:
    """The data folder is this process's alone. Raises Misconfigured where it is another's."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = (data / "lock").open("a+")
    except OSError as error:
        raise Misconfigured(f"{data} cannot be used ({error.strerror}): give another folder as --data") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise Misconfigured(
                f"{data} is in use by another `docmill up` (process {lock.read().strip() or 'unknown'}): "
                f"stop that one, or give another folder as --data"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    numbers: Sequence[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def check_cache(url: str) -> None:
    """Raises ServiceAway where the server does not answer; no message shows the password."""
    try:
        with redis.Redis.from_url(url.replace("redis+socket://", "unix://"), socket_timeout=5) as client:
            client.ping()
    except (redis.RedisError, ValueError) as error:
        raise ServiceAway(
            f"the cache does not answer ({type(error).__name__}): start it, or mend DOCMILL_CACHE_URL"
        ) from error


def _check_http(url: str) -> None:
    try:
        answer = httpx.get(url, timeout=2)
    except httpx.HTTPError as error:
        raise NotReady from error
    if answer.status_code != httpx.codes.OK:
        raise NotReady


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
