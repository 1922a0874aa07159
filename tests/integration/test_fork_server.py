"""Programs forked from a fork server run as if each had been started by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from workers.stack.fork_server import LOADED, ForkServer
from workers.stack.process import Process

SLEEP = ["timeit", "-n1", "-r1", "import time; time.sleep(60)"]


@pytest.fixture
def fork_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ForkServer]:
    monkeypatch.setenv("DOCMILL_LLM_API_KEY", "a key that is nobody's")
    with ForkServer(tmp_path / "fork_server.log", loads=["json"]) as made:
        yield made


def run(fork_server: ForkServer, log: Path, code: str, **env: str) -> int:
    """The exit code of what runs the code."""
    with log.open("ab") as file:
        program = fork_server.fork(["timeit", "-n1", "-r1", code], env=env, log=file, stop_with=signal.SIGTERM)
    assert program is not None
    return program.wait(30)


def test_a_program_has_its_own_environment_log_and_parent(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import os, sys; print(sorted(os.environ), os.environ['WORD'], os.getppid(), os.getsid(0) == os.getpid())"
    )
    assert run(fork_server, tmp_path / "log", code, WORD="said") == 0
    told = (tmp_path / "log").read_text(encoding="utf-8")
    assert told.startswith(f"['WORD'] said {os.getpid()} True\n")


def test_its_end_is_told_as_any_programs(fork_server: ForkServer, tmp_path: Path) -> None:
    assert run(fork_server, tmp_path / "log", "import os; os._exit(7)") == 7
    with (tmp_path / "log").open("ab") as file:
        program = fork_server.fork(SLEEP, env={}, log=file, stop_with=signal.SIGTERM)
    assert program is not None
    assert program.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.05)
    program.kill()
    assert program.wait(30) == -signal.SIGKILL


def test_it_is_listed_with_its_own_command(fork_server: ForkServer, tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as file:
        program = fork_server.fork(SLEEP, env={}, log=file, stop_with=signal.SIGTERM)
    assert program is not None
    assert " ".join(psutil.Process(program.pid).cmdline()).strip() == " ".join([sys.executable, "-m", *SLEEP])
    program.kill()
    program.wait(30)


def fork_servers() -> list[psutil.Process]:
    """Those that this process started; what an earlier test may have left dead has no command."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "workers.stack.forking" in " ".join(child.cmdline())]


def test_it_is_told_no_secret(fork_server: ForkServer) -> None:
    mine = fork_servers()
    assert len(mine) == 1
    assert "a key that is nobody's" not in str(mine[0].environ())


def test_where_it_is_dead_a_program_starts_by_itself(fork_server: ForkServer, tmp_path: Path) -> None:
    for server in fork_servers():
        server.kill()
        server.wait(30)
    command = [sys.executable, "-m", *SLEEP]
    process = Process(
        name="slow", command=command, log=tmp_path / "log", check=lambda: None, fork_server=fork_server
    )
    process.spawn()
    assert process.running
    process.stop()
    assert not process.running


def test_what_a_dead_program_leaves_behind_is_buried(fork_server: ForkServer, tmp_path: Path) -> None:
    code = "import os, subprocess; print(subprocess.Popen(['sleep', '0.3']).pid, flush=True); os._exit(0)"
    assert run(fork_server, tmp_path / "log", code, PATH=os.environ["PATH"]) == 0
    orphan = int((tmp_path / "log").read_text(encoding="utf-8").split()[0])
    give_up_at = time.monotonic() + 30
    while psutil.pid_exists(orphan):
        fork_server.reap([])
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def test_what_is_loaded_beforehand_starts_no_thread() -> None:
    """Only the thread that forks lives on in a fork."""
    modules = [each.partition(":")[0] for each in LOADED]
    code = f"import importlib, threading; [importlib.import_module(each) for each in {modules!r}]"
    code += "; import docmill.llm.tokens; docmill.llm.tokens.load()"
    code += "; assert threading.active_count() == 1, threading.enumerate()"
    code += "; import os; assert len(os.listdir('/proc/self/task')) == 1"
    env = {name: value for name, value in os.environ.items() if not name.startswith("DOCMILL_")}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=60)
    assert threading.current_thread() is threading.main_thread()
