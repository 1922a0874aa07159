"""One command, the whole stack: servers, migrations, workers, and the simulator where no provider is set.

One foreground process without threads starts everything, starts again what dies, and stops all in order.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from db.migrations import upgrade
from db.stages import RoleName
from docmill.errors import ServiceAway
from docmill.settings import Settings
from tasks.celery import broker
from workers.roles import ROLES, Part, environment_for, stops_within_s, worker_command
from workers.stack.addresses import READY, URLS, Addresses, environment_of
from workers.stack.fork_server import ForkServer
from workers.stack.kept import flower_password, webhook_key
from workers.stack.lock import locked
from workers.stack.places import make_folder
from workers.stack.ports import Ports
from workers.stack.probes import check_cache, check_http, check_worker
from workers.stack.process import ASK_EVERY_S, NotReady, Process
from workers.stack.servers import EmbeddedServers, ServerName

__all__ = ["Stack"]

WATCH_EVERY_S = 0.2
SHORT_LIFE_S = 10.0
MOST_SHORT_LIVES = 5
"""A program that dies so often so soon after its start will not live."""
WORD_S = 2.0
"""A worker that does not stop in time ends by itself, and tells its log where it stood."""


class Stack:
    """Everything that runs on one data folder.

    ``with Stack(settings, data) as stack: stack.watch()``. ``tell`` is given a line for each thing that happens.
    Raises Misconfigured and ServiceAway with what to do.
    """

    def __init__(
        self,
        settings: Settings,
        data: Path,
        *,
        io_workers: int = 2,
        cpu_workers: int = 1,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.data = data.absolute()
        self.addresses: Addresses
        self._settings = settings
        self._say = tell
        self._instance = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:6]
        self._ports = Ports(self.data)
        self._ready: set[str] = set()
        self._replicas: dict[RoleName, int] = {"io": io_workers, "cpu": cpu_workers, "quarantine": 1}
        if settings.ocr != "off":
            self._replicas["ocr"] = 1
        self._stack = ExitStack()
        self._servers: EmbeddedServers
        self._fork_server: ForkServer
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

    def watch(self) -> None:
        """Until SIGINT or SIGTERM: starts again what dies. Raises ServiceAway for what will not live."""
        with _signals(self._ask_to_stop):
            while not self._stopping:
                for process in self._processes:
                    if not process.running:
                        self._again(process)
                self._fork_server.reap([process.pid for process in self._processes])
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
        self._ports.close()
        self._stack.close()

    @property
    def _processes(self) -> list[Process]:
        return [*self._servers.processes, *self._programs]

    def _start(self) -> None:
        self._stack.enter_context(locked(self.data))
        self._owns_data = True
        make_folder(self.data)
        make_folder(self.data / "logs")
        self._fork_server = self._stack.enter_context(
            ForkServer(self._log("fork_server"))
        )  # it loads while the servers start
        self._start_servers()
        make_folder(self.data / "spool")
        addresses = self.addresses
        owner_url = addresses.database_owner_url or addresses.database_url
        upgrade(owner_url, application_url=addresses.database_url, timezone=self._settings.timezone)
        self._say("the database has its schema")
        self._start_simulator()
        for name in ROLES:
            for number in range(1, self._replicas.get(name, 0) + 1):
                self._start_worker(name, number)
        self._start_beat()
        self._start_api()
        self._await_ready()
        self._start_flower()  # it asks the workers who they are once, at its start
        self._await_ready()
        self._tell()

    def _await_ready(self) -> None:
        """Tells of each program as it comes up: they do so side by side."""
        while waiting := [process for process in self._programs if process.name not in self._ready]:
            for process in waiting:
                if process.is_ready():
                    self._came_up(process)
            time.sleep(ASK_EVERY_S)

    def _came_up(self, process: Process) -> None:
        self._ready.add(process.name)
        self._say(f"{process.name} is up after {process.age_s:.1f} s")

    def _start_servers(self) -> None:
        settings = self._settings
        given: dict[ServerName, str | None] = {
            "postgres": settings.database_url,
            "broker": settings.broker_url,
            "cache": settings.cache_url,
        }
        embedded = settings.database_url is None
        which = [name for name, url in given.items() if url is None]
        self._servers = self._stack.enter_context(EmbeddedServers(self.data, which, on_ready=self._came_up))
        self.addresses = Addresses(
            database_url=settings.database_url or self._servers.database_url,
            database_owner_url=settings.database_owner_url or (self._servers.owner_url if embedded else None),
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

        command = [sys.executable, "-m", "docmill", "simulate", "--ready-file", str(ready)]
        simulator = self._add(
            Process(
                name="simulator",
                command=command,
                env=self._env("simulator"),
                log=self._log("simulator"),
                check=check,
            )
        )
        simulator.await_ready()
        self._came_up(simulator)
        url = json.loads(ready.read_text(encoding="utf-8"))["url"]
        # It found a free port by itself; when it is started again, the others still know that one.
        simulator.command = [*command, "--port", str(urlsplit(url).port)]
        self.addresses = replace(self.addresses, simulator=url, llm_url=url)

    def _start_worker(self, role: RoleName, number: int) -> None:
        name = f"{role}-{number}"
        self._add(
            Process(
                name=name,
                command=worker_command(role, self._settings, name=self._node(name)),
                env=self._env(role),
                log=self._log(name),
                check=lambda: self._check_worker(name),
                stop_within_s=stops_within_s(self._settings) + WORD_S,
            )
        )

    def _node(self, name: str) -> str:
        """Sets a worker apart from those of other stacks on this host, which may serve the same database."""
        return f"{name}-{self._instance}"

    def _start_beat(self) -> None:
        make_folder(self.data / "beat")
        schedule = self.data / "beat" / "schedule"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--schedule", str(schedule)]
        self._add(
            Process(
                name="beat",
                command=[*command, "--pidfile", ""],
                env=self._env("beat"),
                log=self._log("beat"),
                check=lambda: None,
            )
        )

    def _start_api(self) -> None:
        host = self._settings.api_host
        port = self._ports.take("api", host=host, given=self._settings.api_port)
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        command = [sys.executable, "-m", "web", "--host", host, "--port", str(port)]
        self._add(
            Process(
                name="api",
                command=command,
                env=self._env("api"),
                log=self._log("api"),
                check=lambda: check_http(f"{url}/readyz"),
            )
        )
        self.addresses = replace(self.addresses, api=url)

    def _start_flower(self) -> None:
        """Flower shows arguments of tasks and can end them, so it asks for a password, on loopback too."""
        port = self._ports.take("flower", host="127.0.0.1", given=self._settings.flower_port)
        url = f"http://127.0.0.1:{port}"
        # Flower would switch the workers' events on by itself, whatever their settings say.
        events = f"--enable_events={self._settings.task_events}"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "flower", events]
        self._add(
            Process(
                name="flower",
                command=[*command, "--address=127.0.0.1", f"--port={port}"],
                env={**self._env("flower"), "DOCMILL_FLOWER_PASSWORD": flower_password(self._settings, self.data)},
                log=self._log("flower"),
                check=lambda: check_http(f"{url}/healthcheck"),
            )
        )
        self.addresses = replace(self.addresses, flower=url)

    def _add(self, process: Process) -> Process:
        process.fork_server = self._fork_server
        self._programs.append(process)
        process.spawn()
        return process

    def _env(self, part: Part) -> dict[str, str]:
        found = self._settings.model_copy(update={name: getattr(self.addresses, name) for name in URLS})
        environ = {
            **environment_of(found, self.data),
            "DOCMILL_WEBHOOK_KEY": webhook_key(self._settings, self.data),
        }
        return environment_for(part, self._settings, environ)

    def _check_worker(self, name: str) -> None:
        """A worker is ready once the fleet has seen it since its start."""
        process = next(each for each in self._programs if each.name == name)
        check_worker(self.addresses.database_url, self._node(name), within_s=process.age_s)

    def _again(self, process: Process) -> None:
        short = process.age_s < SHORT_LIFE_S
        deaths = self._deaths[process.name] = self._deaths.get(process.name, 0) + 1 if short else 1
        if deaths > MOST_SHORT_LIVES:
            raise ServiceAway(f"{process.name} died {deaths} times in a row: {process.log} says why")
        self._say(f"{process.name} died; started again (its log: {process.log})")
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
