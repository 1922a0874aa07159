"""A running stack, as other terminals see it: its parts, one more worker, its end, and nothing left."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from workers.stack.places import scratch

COMMAND = (sys.executable, "-m", "docmill")
PARTS = {
    "postgres",
    "broker",
    "cache",
    "simulator",
    "io-1",
    "io-2",
    "cpu-1",
    "ocr-1",
    "quarantine-1",
    "beat",
    "api",
    "flower",
}


def docmill(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, check=False, timeout=120, **options
    )


@contextmanager
def running(data: Path) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """A stack, and what it wrote into its ready file."""
    ready = data.parent / f"{data.name}.json"
    ready.unlink(missing_ok=True)
    command = [*COMMAND, "up", "--data", str(data), "--ready-file", str(ready)]
    with (data.parent / f"{data.name}.log").open("w") as log:
        up = subprocess.Popen(command, text=True, stdout=subprocess.DEVNULL, stderr=log)
    try:
        until(lambda: ready.exists() or up.poll() is not None)
        assert ready.exists(), (data.parent / f"{data.name}.log").read_text()
        yield json.loads(ready.read_text()), up
    finally:
        up.terminate()
        up.wait(timeout=60)


def until(condition: Callable[[], Any], within_s: float = 60) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {within_s} s"
        time.sleep(0.1)


def fleet(data: Path) -> list[str]:
    """The names of workers, as `status` shows them."""
    found = docmill("status", "--data", str(data))
    return [
        word
        for word in found.stdout.split()
        if "@" in word and word.startswith(("io", "cpu", "ocr", "quarantine"))
    ]


def test_a_stack_from_its_start_to_nothing_left() -> None:
    with scratch("running") as above:
        data = above / "with a space"
        with running(data) as (addresses, up), running(above / "beside") as (others, _):
            told = (above / "with a space.log").read_text().splitlines()
            came = [line.split(" ")[0] for line in told if " is up after " in line]
            assert set(came) == PARTS
            assert len(came) == len(PARTS)
            assert addresses["api"] != others["api"]
            assert addresses["flower"] != others["flower"]
            assert httpx.get(f"{addresses['api']}/readyz").status_code == 200
            assert not set(fleet(data)) & set(fleet(above / "beside")), "they may share a database"

            parts = [
                json.loads(line) for line in docmill("status", "--data", str(data), "--json").stdout.splitlines()
            ]
            assert {part["name"] for part in parts if part["running"]} == PARTS
            assert {part["name"]: part["pid"] for part in parts} == addresses["pids"]

            command = [*COMMAND, "worker", "io", "--data", str(data)]
            workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/") for _ in range(2)]
            until(lambda: len([name for name in fleet(data) if name.startswith("io")]) == 4)
            for worker in workers:
                worker.terminate()
            assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
            assert len([name for name in fleet(data) if name.startswith("io")]) == 2

            assert "in use by another `docmill up`" in docmill("up", "--data", str(data)).stderr
            assert docmill("down", "--data", str(data)).stdout == f"stopped the stack on {data}\n"
            assert up.wait(timeout=5) == 0
            assert not [pid for pid in addresses["pids"].values() if psutil.pid_exists(pid)]
            assert docmill("status", "--data", str(data)).returncode == 1

        with running(data) as (again, _):
            assert (again["api"], again["flower"]) == (addresses["api"], addresses["flower"])
            refused = docmill("down", "--data", str(data), "--remove", input="n\n")
            assert refused.returncode == 0
            assert data.exists()
        removed = docmill("down", "--data", str(data), "--remove", input="y\nn\n")
        assert f"  {data}\n" in removed.stdout
        assert not data.exists()


def test_what_docmill_did_not_make_is_not_removed() -> None:
    with scratch("mine") as data:
        (data / "logs").mkdir()
        (data / "logs" / "mine.txt").write_text("mine")
        (data / "letter.txt").write_text("mine")
        with running(data):
            pass
        docmill("down", "--data", str(data), "--remove", "--yes")
        assert sorted(path.name for path in data.iterdir()) == ["letter.txt", "logs"]
        assert (data / "logs" / "mine.txt").read_text() == "mine"
        (data.parent / f"{data.name}.json").unlink()
        (data.parent / f"{data.name}.log").unlink()


def test_a_folder_without_a_stack_is_told() -> None:
    with scratch("none") as data:
        assert docmill("down", "--data", str(data)).stdout == f"no stack runs on {data}\n"
        assert "docmill made nothing in" in docmill("down", "--data", str(data), "--remove", "--yes").stdout
        assert f"no docmill runs on {data}" in docmill("status", "--data", str(data)).stderr
        assert list(data.iterdir()) == []
