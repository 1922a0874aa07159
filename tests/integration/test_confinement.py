"""What the process that parses files is not able to do."""

from __future__ import annotations

import io
import os
import platform
import resource
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from docmill.reading import Reader
from tests.documents import SAMPLES, WORDS

linux = pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def child(reader: Reader) -> psutil.Process:
    reader.read_bytes(b"a text")
    return process_of(reader)


def process_of(reader: Reader) -> psutil.Process:
    return psutil.Process(reader._parser.running().pid)


def status(child: psutil.Process) -> dict[str, str]:
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def run(code: str) -> str:
    """What a process prints that was confined first."""
    confined = (
        "from docmill.reading.confinement import confine\nimport os, socket, sys\nopen_network = confine()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", confined + textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.strip()


@linux
def test_it_has_neither_the_keys_nor_the_environment_of_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCMILL_LLM_API_KEY", "sk-secret")
    with Reader() as reader:
        reader.read_bytes(b"a text")
        found = process_of(reader).environ()
    assert set(found) <= {"PYTHONPATH", "PYTHONUTF8", "LC_ALL", "LC_CTYPE"}


@linux
def test_a_worker_s_limit_for_checks_is_not_its_own() -> None:
    """It is less than OCR takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (8 * 2**30, hard))
    try:
        with Reader() as reader:
            reader.read_bytes(b"a text")
            limits = Path(f"/proc/{process_of(reader).pid}/limits").read_text().splitlines()
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    (allowed,) = [line.split()[3:5] for line in limits if line.startswith("Max data size")]
    assert allowed[0] == allowed[1]


@linux
def test_it_cannot_gain_rights(child: psutil.Process) -> None:
    found = status(child)
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_under_root_it_is_a_user_of_its_own_without_rights(child: psutil.Process) -> None:
    found = status(child)
    users = set(found["Uid"].split() + found["Gid"].split())
    assert len(users) == 1
    others = {each.info["uids"].real for each in psutil.process_iter(["uids"]) if each != child}
    assert int(users.pop()) not in {0, *others}
    assert found["Groups"] == ""
    assert {found[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}


@linux
@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="no filter for this machine")
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"])
def test_it_reaches_no_network(family: str) -> None:
    assert (
        run(f"""
        try:
            socket.socket(socket.{family})
        except PermissionError:
            print(open_network)
        """)
        == "False"
    )


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_reads_nobody_s_files(tmp_path: Path) -> None:
    secret = tmp_path / "docmill.toml"
    secret.write_text("key")
    secret.chmod(0o600)
    assert (
        run(f"""
        try:
            open({str(secret)!r})
        except PermissionError:
            print("closed")
        """)
        == "closed"
    )


def test_nothing_is_imported_or_opened_for_a_document() -> None:
    """Where the code lies in a closed folder, as root's home is, nothing of it can be opened later.

    OCR's engine is met here by its first word: it opens the models for words late.
    """
    for work, documents in (("parse", {**SAMPLES, **PICTURES}), ("texts", SAMPLES), ("ocr", PICTURES)):
        found = subprocess.run(
            [sys.executable, "-c", WATCHED, work],
            input=repr(documents),
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode == 0, found.stderr
        assert found.stdout == ""


def picture(file_format: str) -> bytes:
    image, file = Image.new("RGB", (600, 200), "white"), io.BytesIO()
    ImageDraw.Draw(image).text((40, 60), "TOTAL 12.50", fill="black", font=ImageFont.load_default(48))
    image.save(file, file_format)
    return file.getvalue()


PICTURES = {f"a.{each}": picture(each) for each in ("png", "jpeg", "tiff", "gif", "webp", "bmp", "pdf")}
WATCHED = """
import ast, sys
documents = ast.literal_eval(sys.stdin.read())
from docmill.errors import Unreadable
from docmill.reading import child, formats
from docmill.reading.values import LeftToOthers, Limits
child._load(sys.argv[1])
if sys.argv[1] == "ocr":
    from docmill.reading import scans
    engines = ("rapidocr", "tesseract")
    read = [lambda body, name, engine=engine: scans.read_scan(body, 0, name=name, limits=Limits(ocr_engine=engine))
            for engine in engines]
else:
    limits = Limits(leave_scans=True, texts_only=sys.argv[1] == "texts")
    read = [lambda body, name: formats.read_document(body, name=name, limits=limits)]
told = []
def watch(event, arguments):
    if event == "import" or (event == "open" and isinstance(arguments[0], str)):
        told.append((name, event, arguments[0]))
sys.addaudithook(watch)
for name, body in documents.items():
    for each in read:
        try:
            each(body, name)
        except (Unreadable, LeftToOthers):
            pass
for each in told:
    print(*each)
"""


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in ("a.png", "a.json", "a.msg")])
def test_each_format_is_read_there(reader: Reader, name: str) -> None:
    assert WORDS in reader.read_bytes(SAMPLES[name], name=name).text.replace("\xa0", " ")
