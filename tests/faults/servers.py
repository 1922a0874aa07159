"""What else a fleet may stand on, where Debian's packages are installed: PgBouncer, and RabbitMQ."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kombu
import psycopg
import pytest
from kombu.exceptions import OperationalError

from tests.faults.proxy import Target
from workers.stack.account import Account
from workers.stack.places import postgres_account
from workers.stack.ports import free_port
from workers.stack.process import NotReady, Process

__all__ = ["pgbouncer", "rabbitmq"]

PGBOUNCER = Path("/usr/sbin/pgbouncer")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def pgbouncer(folder: Path, database_port: int) -> tuple[Process, Target]:
    """A pooler in transaction mode before the database at that port; not started yet."""
    if not PGBOUNCER.exists():
        pytest.skip("PgBouncer is not installed (apt-get install pgbouncer)")
    port, account = free_port(), postgres_account()
    _own(folder, account)
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"""[databases]
docmill = host=127.0.0.1 port={database_port} dbname=docmill user=docmill
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
server_login_retry = 1
""",
        encoding="utf-8",
    )

    def check() -> None:
        try:
            psycopg.connect(
                host="127.0.0.1", port=port, user="docmill", dbname="docmill", sslmode="disable"
            ).close()
        except psycopg.OperationalError as error:
            raise NotReady from error

    process = Process(
        name="pgbouncer",
        command=[str(PGBOUNCER), str(settings)],
        log=folder / "pgbouncer.log",
        check=check,
        stop_with=signal.SIGINT,
        account=account,
    )
    return process, ("127.0.0.1", port)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[tuple[Process, Target]]:
    """One node of its own, with its own port mapper: no other RabbitMQ of this machine is touched."""
    if not RABBITMQ.exists():
        pytest.skip("RabbitMQ is not installed (apt-get install rabbitmq-server)")
    account = postgres_account()
    port, nodes, mapper = free_port(), free_port(), free_port()
    _own(folder, account)
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": "docmill@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(nodes),
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RUNNING_UNDER_SYSTEMD": "true",  # the shell gives way to the server, whose process id we then have
    }
    address = f"amqp://guest:guest@127.0.0.1:{port}//"

    def check() -> None:
        try:
            with kombu.Connection(address, connect_timeout=2) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=2)
        except (OperationalError, OSError) as error:
            raise NotReady from error

    def listens() -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", mapper)):
                raise NotReady

    log = folder / "rabbitmq.log"
    names = Process(
        name="epmd", command=[str(shutil.which("epmd"))], log=log, check=listens, env=env, account=account
    )
    server = Process(
        name="rabbitmq",
        command=[str(RABBITMQ)],
        log=log,
        check=check,
        env=env,
        account=account,
        ready_within_s=120,
    )
    try:
        for each in (names, server):
            each.spawn()
            each.await_ready()
        yield server, ("127.0.0.1", port)
    finally:
        server.stop()
        names.stop()


def _own(folder: Path, account: Account | None) -> None:
    folder.mkdir()
    if account is not None:
        shutil.chown(folder, account.uid, account.gid)
