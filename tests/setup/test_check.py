"""What cannot work is said before anything is installed."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from setup import check
from setup.check import problems

ROOT = Path(__file__).parents[2]


def told(venv: Path, needed_mb: int = 1) -> str:
    return "\n".join(problems(venv, needed_mb))


def test_a_machine_that_has_all_is_told_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "venv") == ""


def test_room_that_is_lacking_is_told_with_how_much(tmp_path: Path) -> None:
    assert "100000000000 MB are needed" in told(tmp_path / "venv", needed_mb=100_000_000_000)


def test_a_folder_that_no_environment_may_have_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    folder.mkdir()
    assert "has a ':' in it" in told(folder / "venv")


def test_a_folder_that_is_closed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert "cannot be written" in told(tmp_path / "venv")


def test_another_machine_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "this is linux on riscv64" in told(tmp_path / "venv")


@pytest.mark.parametrize(("library", "has"), [("glibc 2.17", "2.17"), ("musl 1.2", "none")])
def test_an_old_or_another_c_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, has: str
) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: library)
    assert f"need glibc 2.28, and this system has {has}" in told(tmp_path / "venv")


def test_a_python_without_venv_is_told_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert f"python3.{sys.version_info.minor}-venv" in told(tmp_path / "venv")


def test_root_without_useradd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(check, "POSTGRES_USER", "docmill-nobody-has-this")
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    assert "there is no useradd" in told(tmp_path / "venv")
    monkeypatch.setenv("DOCMILL_DATABASE_URL", "postgresql://elsewhere/docmill")
    assert told(tmp_path / "venv") == "", "with a database elsewhere no user is needed"


def python_of(tmp_path: Path, *names: str, python: str | None = None) -> subprocess.CompletedProcess[str]:
    """Which Python `setup/python` takes where PATH has these names: files that print their own and say a version."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for each in names:
        name, _, minor = each.partition(":")
        test = f"test {minor or 0} -ge 11 -a {minor or 0} -le 13"
        (folder / name).write_text(f'#!/bin/sh\ncase "$1" in -c) {test} ;; *) echo {name}; esac\n')
        (folder / name).chmod(0o755)
    env = {"PATH": str(folder)} | ({"PYTHON": python} if python is not None else {})
    command = ["/bin/sh", str(ROOT / "setup" / "python"), "-m", "anything"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("python3.11:11", "python3:12"), "python3.11"),
        (("python3:11",), "python3"),
        (("python3:9", "python3.12:12"), "python3.12"),
        (("python3.11:0", "python3.13:13"), "python3.13"),  # a name that leads nowhere
        (("python3:14", "python:12"), "python"),
    ],
)
def test_the_first_python_that_will_do_is_taken(tmp_path: Path, names: tuple[str, ...], taken: str) -> None:
    assert python_of(tmp_path, *names).stdout == f"{taken}\n"


def test_without_a_python_that_will_do_it_says_so(tmp_path: Path) -> None:
    found = python_of(tmp_path, "python3:9")
    assert (found.returncode, found.stdout) == (1, "")
    assert "Python 3.11, 3.12 or 3.13 is needed, and none of these is in PATH" in found.stderr


def test_a_python_that_was_named_is_taken_or_nothing(tmp_path: Path) -> None:
    mine = tmp_path / "my python"
    mine.mkdir()
    (mine / "python").write_text('#!/bin/sh\ncase "$1" in -c) ;; *) echo mine; esac\n')
    (mine / "python").chmod(0o755)
    assert python_of(tmp_path, "python3.11:11", python=str(mine / "python")).stdout == "mine\n"
    shutil.rmtree(tmp_path / "bin")
    refused = python_of(tmp_path, "python3.11:11", python="python3.9")
    assert refused.returncode == 1
    assert "PYTHON=python3.9 is not one of these" in refused.stderr
