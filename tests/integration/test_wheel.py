"""The wheel alone, in an environment that holds nothing but what the wheel itself asks for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]

USE = """
import json, sys
from pathlib import Path
from docmill.client import AsyncDocmill, Docmill, submit_in

with Docmill(sys.argv[1]) as docmill:
    job = docmill.submit("TEA HOUSE at the wheel\\nDate: 2021-03-04\\nGreen tea 4.10\\nTOTAL 4.10", prompt="receipt")
    print(json.dumps(docmill.wait(job.id, timeout=60).value))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("docmill-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel and what it requires, as its metadata says, and no more."""
    folder = tmp_path_factory.mktemp("alone")
    venv.create(folder, symlinks=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    for needed in closure(PathDistribution(next(packages.glob("docmill-*.dist-info")))):
        copy(needed, packages)
    return folder / "bin" / "python"


def closure(root: Distribution) -> list[Distribution]:
    """What a distribution requires, and what that requires in turn, without extras."""
    found: dict[str, Distribution] = {}
    waiting = [root]
    while waiting:
        for line in waiting.pop().requires or ():
            requirement = Requirement(line)
            wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if wanted and requirement.name not in found:
                found[requirement.name] = distribution(requirement.name)
                waiting.append(found[requirement.name])
    return list(found.values())


def copy(needed: Distribution, packages: Path) -> None:
    for file in needed.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), packages / file)


def test_the_wheel_brings_docmill_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        brought = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in brought if not name.endswith(".dist-info")} == {"docmill"}


def test_the_core_needs_httpx_and_pydantic_alone(python: Path) -> None:
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    root = PathDistribution(next(packages.glob("docmill-*.dist-info")))
    direct = [Requirement(line) for line in root.requires or () if "extra ==" not in line]
    assert sorted(each.name for each in direct) == ["httpx", "pydantic"]
    for absent in ("tasks", "workers", "db", "prompts", "web", "cli", "celery", "sqlalchemy", "redis", "fastapi"):
        found = subprocess.run(
            [python, "-c", f"import {absent}"], capture_output=True, text=True, check=False, cwd="/"
        )
        assert f"No module named '{absent}'" in found.stderr


@pytest.fixture
def api(up: Path) -> str:
    return str(json.loads((up / "ready.json").read_text())["api"])


def test_the_client_runs_from_the_wheel_against_the_api(python: Path, api: str) -> None:
    found = subprocess.run(
        [python, "-W", "error", "-c", USE, api], capture_output=True, text=True, check=False, cwd="/"
    )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["total"] == 4.1


def test_the_command_says_what_is_missing(python: Path) -> None:
    command = [str(python), "-c", "from docmill.command import main; main()"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert found.returncode == 1
    assert "run it from a checkout" in found.stderr
