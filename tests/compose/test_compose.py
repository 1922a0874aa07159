"""The compose file in a real engine: `make compose-test` builds, runs, scales and takes it down again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from docmill.client import Docmill
from tests.compose.engine import Engine, NoEngine, run, started

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        os.environ.get("DOCMILL_COMPOSE_TEST") != "1", reason="builds and runs images: `make compose-test` runs it"
    ),
]

ROOT = Path(__file__).parents[2]
PASSWORD = "not@simple/at:all"
SECRETS = ("POSTGRES_PASSWORD", "DATABASE_PASSWORD", "VALKEY_PASSWORD", "FLOWER_PASSWORD")
KEY = "sk-none"
DOCUMENTS = 240
REPLICAS = 4


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    folder = Path(tempfile.mkdtemp(prefix="docmill-compose-"))
    try:
        with started(folder) as running:
            yield running
    except NoEngine as error:
        pytest.fail(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The compose file, as one project."""

    engine: Engine
    env: dict[str, str]
    project: str = field(default_factory=lambda: f"docmill-{os.getpid()}")

    def compose(self, *arguments: str, check: bool = True) -> str:
        command = (
            *self.engine.compose,
            "--project-name",
            self.project,
            "--file",
            str(ROOT / "docker-compose.yml"),
        )
        return run(*command, "--profile", "simulator", *arguments, env=self.env, check=check)

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def inside(self, service: str, *command: str) -> str:
        # A program's own output alone: some versions tell on stderr what they do.
        container = self.containers(service)[0]
        return self.engine("exec", container, *command).strip()

    def query(self, statement: str) -> list[list[str]]:
        command = ("psql", "-h", "127.0.0.1", "-U", "docmill", "-d", "docmill", "-At", "-F", "\t", "-c", statement)
        container = self.containers("postgres")[0]
        found = self.engine("exec", "--env", f"PGPASSWORD={PASSWORD}", container, *command)
        return [line.split("\t") for line in found.splitlines()]

    def health(self, container: str) -> str:
        told = self.engine("inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{end}}", container)
        return told.strip()


@pytest.fixture(scope="module")
def fleet(engine: Engine) -> Iterator[Fleet]:
    engine.build(ROOT, "docmill")
    env = {
        **engine.env,
        **dict.fromkeys(SECRETS, PASSWORD),
        "DOCMILL_LLM_API_KEY": KEY,
        "SIMULATOR_LATENCY_MS": "3000",
        "DOCMILL_IO_THREADS": "10",  # so that the work lasts while a worker is stopped
        "API_PORT": str(free_port()),
        "FLOWER_PORT": str(free_port()),
    }
    running = Fleet(engine=engine, env=env)
    try:
        running.compose("up", "--detach", "--no-build", "--scale", f"worker-io={REPLICAS}")
        yield running
    except BaseException:
        print(running.compose("logs", "--tail", "30", check=False))
        raise
    finally:
        running.compose("down", "--volumes", "--timeout", "100")
    assert engine("ps", "--all", "--quiet", "--filter", f"name={running.project}") == ""
    assert engine("volume", "ls", "--quiet", "--filter", f"name={running.project}") == ""


def until(condition: Callable[[], Any], within_s: float) -> Any:
    give_up_at = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"not within {within_s} s"
        time.sleep(0.3)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str, **options: Any) -> bool:
    try:
        return httpx.get(url, timeout=5, **options).status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("missing", SECRETS)
def test_without_a_secret_it_says_which_is_missing(engine: Engine, missing: str, empty: bool) -> None:
    env = {name: value for name, value in engine.env.items() if not name.endswith("_PASSWORD")}
    given = {name: "x" for name in SECRETS if name != missing} | ({missing: ""} if empty else {})
    command = [*engine.compose, "--file", str(ROOT / "docker-compose.yml"), "up", "--no-build"]
    found = subprocess.run(command, env={**env, **given}, capture_output=True, text=True, check=False)
    assert found.returncode != 0
    assert f"{missing} must be set, in the environment or in .env" in found.stderr


def test_four_workers_take_work_and_stopping_one_loses_nothing(fleet: Fleet) -> None:
    api = f"http://127.0.0.1:{fleet.env['API_PORT']}"
    until(lambda: answers(f"{api}/readyz"), 180)
    key = fleet.inside("api", "docmill", "keys", "add", "default", "--json")
    workers = until(lambda: all_seen(fleet), 180)

    with Docmill(api, key=json.loads(key)["key"]) as docmill:
        jobs = [
            docmill.submit(f"TEA HOUSE {number}\nDate: 2021-03-04\nTOTAL {number}.10\n", prompt="receipt").id
            for number in range(DOCUMENTS)
        ]
        calling: set[str] = set()
        until(lambda: owners(fleet, calling) >= set(workers), 120)
        assert len(calling) == REPLICAS

        victim = fleet.containers("worker-io")[0]
        fleet.engine("stop", "--time", "100", victim)
        assert int(fleet.query("select count(*) from jobs where state <> 'done'")[0][0]) > 0
        ends = [docmill.wait(job, timeout=300) for job in jobs]

    assert {job.state for job in ends} == {"done"}
    results = fleet.query("select count(*), count(distinct job_id) from results")
    assert results == [[str(DOCUMENTS), str(DOCUMENTS)]]
    calls = fleet.query("select state, count(*) from calls group by state")
    served = json.loads(fleet.inside("simulator", "python", "-c", STATS))
    assert calls == [["answered", str(DOCUMENTS)]]
    assert served["calls"] == DOCUMENTS
    print(f"calls open at once on: {sorted(calling)}; stopped in the middle: {victim[:12]}")


STATS = "import httpx; print(httpx.get('http://127.0.0.1:8090/stats').text)"


def all_seen(fleet: Fleet) -> Sequence[str]:
    """The io workers, once the fleet has seen all of them, and those that read and parse."""
    rows = fleet.query("select queue, name from workers where seen_at > now() - interval '30 s'")
    found = [name for queue, name in rows if queue == "io"]
    return (
        found
        if len(found) == REPLICAS and {queue for queue, _ in rows} == {"io", "cpu", "ocr", "quarantine"}
        else []
    )


def owners(fleet: Fleet, seen: set[str]) -> set[str]:
    rows = fleet.query("select distinct owner from jobs where stage = 'complete' and wait = 'running'")
    seen.update(owner for (owner,) in rows)
    return seen


def test_flower_asks_for_its_password_and_knows_the_fleet(fleet: Fleet) -> None:
    flower = f"http://127.0.0.1:{fleet.env['FLOWER_PORT']}"
    until(lambda: answers(f"{flower}/healthcheck"), 120)
    assert httpx.get(f"{flower}/api/workers").status_code == 401
    found = httpx.get(
        f"{flower}/api/workers", params={"refresh": 1}, auth=("docmill", PASSWORD), timeout=30
    ).json()
    assert len([name for name in found if name.startswith("io-")]) >= REPLICAS - 1


def test_containers_run_without_rights_share_a_spool_and_are_healthy(fleet: Fleet) -> None:
    assert fleet.inside("worker-cpu", "id", "-u") == "10001"
    fleet.inside("worker-cpu", "touch", "/var/lib/docmill/spool/.probe")
    fleet.inside("worker-quarantine", "rm", "/var/lib/docmill/spool/.probe")
    services = ("postgres", "broker", "cache", "api", "flower", "worker-cpu", "worker-ocr", "worker-quarantine")
    containers = [container for service in services for container in fleet.containers(service)]
    running = fleet.engine("ps", "--quiet", "--no-trunc").split()
    containers += [container for container in fleet.containers("worker-io") if container in running]
    until(lambda: {fleet.health(container) for container in containers} == {"healthy"}, 300)


def test_no_container_has_a_right_that_it_does_not_use(fleet: Fleet) -> None:
    containers = fleet.compose("ps", "--quiet").split()
    assert len(containers) >= 9
    for container in containers:
        found = json.loads(fleet.engine("inspect", container))[0]
        host = found["HostConfig"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["ReadonlyRootfs"]
        assert found["Config"]["User"] not in ("", "root", "0")


def test_what_reads_other_peoples_files_has_nobodys_key_and_no_way_out(fleet: Fleet) -> None:
    for service, calls in (
        ("worker-io", True),
        ("worker-cpu", False),
        ("worker-ocr", False),
        ("worker-quarantine", False),
        ("beat", False),
    ):
        running = [each for each in fleet.containers(service) if fleet.health(each) != "unhealthy"]
        found = json.loads(fleet.engine("inspect", running[-1]))[0]
        names = {name.rpartition("_")[2] for name in found["NetworkSettings"]["Networks"]}
        assert names == ({"inside", "outside"} if calls else {"inside"})
        env = dict(each.split("=", 1) for each in found["Config"]["Env"])
        assert (env.get("DOCMILL_LLM_API_KEY") == KEY) == calls
        assert ("DOCMILL_DATABASE_OWNER_PASSWORD" in env) == calls


def test_servers_want_their_passwords_and_the_application_owns_nothing(fleet: Fleet) -> None:
    for server in ("broker", "cache"):
        ask = f"import redis; redis.Redis(host='{server}').ping()"
        told = fleet.engine("exec", fleet.containers("api")[0], "python", "-c", ask, check=False)
        assert "NOAUTH" in told
    role = fleet.query("select rolsuper, rolcreaterole, rolcreatedb from pg_roles where rolname = 'docmill_app'")
    assert role == [["f", "f", "f"]]
    owners = fleet.query("select distinct tableowner from pg_tables where schemaname = 'public'")
    assert owners == [["docmill"]]
