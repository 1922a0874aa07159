"""A process's name tells whether it lives, to those of its host, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docmill.processes import identify, is_gone

NAMES_ITSELF = """
import pathlib, sys
from docmill.processes import identify
print(identify('io-9@here', pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@contextmanager
def another(beside: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A process that lives until it is killed, and its name."""
    command = [sys.executable, "-c", NAMES_ITSELF, str(beside)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.kill()


HOLDS_AND_DROPS = """
import gc, weakref
from docmill.processes import collect_seldom
collect_seldom()
before = gc.get_stats()[2]["collections"]
held = [[number] for number in range(300_000)]
looked = gc.get_stats()[2]["collections"] - before

class Circle:
    def __init__(self):
        self.self = self

dropped = weakref.WeakSet()
for _ in range(100_000):
    dropped.add(Circle())
print(looked, len(dropped))
"""


HIDES = """
import os, pathlib
from docmill.processes import hide
hide({"SECRET", "ANOTHER", "EMPTY", "MISSING"})
told = pathlib.Path("/proc/self/environ").read_text().split("\\0")
print(*sorted(each for each in told if each.startswith(("SECRET", "ANOTHER", "EMPTY", "SHOWN"))))
print(os.environ["SECRET"], os.environ["ANOTHER"], os.environ["EMPTY"] == "", os.environ["SHOWN"], flush=True)
os.execv("/bin/sh", ["sh", "-c", "echo $SECRET $ANOTHER $SHOWN"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="it is the kernel that tells")
def test_what_is_hidden_is_this_process_s_alone() -> None:
    given = {"SECRET": "a=b", "SHOWN": "SECRET=c", "EMPTY": "", "ANOTHER": "ä", "SECRETLY": "no"}
    command = [sys.executable, "-c", HIDES]
    found = subprocess.run(command, env={**os.environ, **given}, check=True, capture_output=True, text=True)
    assert found.stdout.splitlines() == [
        "ANOTHER=xx EMPTY= SECRET=xxx SECRETLY=no SHOWN=SECRET=c",
        "a=b ä True SECRET=c",
        "a=b ä SECRET=c",
    ]


def test_what_is_held_open_is_not_looked_at_for_garbage_and_garbage_goes_all_the_same() -> None:
    command = [sys.executable, "-c", HOLDS_AND_DROPS]
    looked, left = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert int(looked) == 0
    assert int(left) < 25_000


def test_a_process_is_gone_once_it_has_ended_and_not_while_it_is_halted(tmp_path: Path) -> None:
    with another(tmp_path) as (name, process):
        assert name.startswith(f"io-9@here#{process.pid}.")
        assert not is_gone(name, tmp_path)
        process.send_signal(signal.SIGSTOP)
        assert not is_gone(name, tmp_path)
        process.kill()
        process.wait()
        assert is_gone(name, tmp_path)


def test_who_has_the_same_number_later_is_another(tmp_path: Path) -> None:
    mine = identify("io", tmp_path)
    pid, started, place = mine.partition("#")[2].split(".")
    assert not is_gone(mine, tmp_path)
    assert is_gone(f"io#{pid}.{int(started) - 1}.{place}", tmp_path)


def test_nobody_elsewhere_is_judged(tmp_path: Path) -> None:
    with another(tmp_path / "theirs") as (name, process):
        process.kill()
        process.wait()
        assert not is_gone(name, tmp_path / "ours")


@pytest.mark.parametrize("name", ["", "io@here", "io#", "io#1", "io#1.2", "io#x.2.3", "io#-1.2.3", "a#b#c.d.e"])
def test_a_name_that_tells_nothing_is_not_judged(tmp_path: Path, name: str) -> None:
    assert not is_gone(name, tmp_path)


def test_a_number_that_no_process_has_is_not_judged(tmp_path: Path) -> None:
    place = identify("io", tmp_path).rpartition(".")[2]
    assert not is_gone(f"io#{10**30}.5.{place}", tmp_path)


WAITS_FOR_ITSELF = """
import threading
from docmill.processes import end_within
end_within(0.2)
end_within(60)
lock = threading.Lock()
def wait():
    with lock, lock:
        pass
wait()
"""


def test_who_waits_for_itself_ends_in_time_and_tells_where_it_stood() -> None:
    ended = subprocess.run([sys.executable, "-c", WAITS_FOR_ITSELF], capture_output=True, check=False, timeout=30)
    assert ended.returncode == 1
    assert b"in wait" in ended.stderr


NOBODY_READS = """
import os, sys, threading
from docmill.processes import end_within
if sys.argv[1] == "full":
    os.set_blocking(2, False)
    try:
        while True:
            os.write(2, bytes(2**16))
    except BlockingIOError:
        os.set_blocking(2, True)
end_within(0.2)
threading.Event().wait()
"""


@pytest.mark.parametrize("stderr", ["full", "closed"])
def test_who_has_nobody_to_tell_ends_in_time(stderr: str) -> None:
    closes = "2>&-" if stderr == "closed" else ""
    command = ["sh", "-c", f'exec "$0" -c "$1" {stderr} {closes}', sys.executable, NOBODY_READS]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as left:
        try:
            assert left.wait(20) == 1
        finally:
            left.kill()
