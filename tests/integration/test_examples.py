"""The example web apps, each a process of its own: an upload goes in, and its answer is shown."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def addresses(up: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((up / "ready.json").read_text())
    return found


@contextmanager
def web_app(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Iterator[httpx.Client]:
    """The app on a free port; ``{port}`` in its command is where."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [part.format(port=port) for part in command],
        cwd=folder,
        env={**os.environ, **env},
        stdout=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=30) as client:
            while process.poll() is None and not answers(client):
                time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        process.wait(timeout=30)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/").is_success
    except httpx.ConnectError:
        return False


def receipt() -> dict[str, tuple[str, bytes]]:
    return {
        "file": (
            "tea.txt",
            f"TEA HOUSE {uuid4().hex[:6]}\nDate: 2021-03-04\nGreen tea 4.10\nTOTAL 4.10\n".encode(),
        )
    }


def shown(client: httpx.Client, sent: httpx.Response) -> str:
    """The page of an upload once its job is done."""
    assert sent.is_success, sent.text
    give_up_at = time.monotonic() + 60
    page = sent
    while "done" not in page.text:
        assert time.monotonic() < give_up_at, page.text
        time.sleep(0.1)
        page = client.get(sent.url)
    return page.text


def test_the_fastapi_app_submits_over_http_and_shows_the_answer(addresses: dict[str, str]) -> None:
    command = [sys.executable, "-m", "uvicorn", "app:app", "--port", "{port}", "--log-level", "warning"]
    with web_app(command, EXAMPLES / "fastapi_app", {"DOCMILL": addresses["api"]}) as client:
        page = shown(client, client.post("/", files=receipt()))
        assert "4.1" in page
        assert "TEA HOUSE" in page
        assert client.post("/", files=receipt(), data={"prompt": "recipt"}).status_code == 400
        assert client.get("/answers/999999999").status_code == 404


def test_the_django_app_submits_in_its_own_transaction_and_shows_the_answer(addresses: dict[str, str]) -> None:
    folder = EXAMPLES / "django_app"
    env = {"DATABASE_URL": addresses["database_owner_url"], "DOCMILL": addresses["api"]}
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "--verbosity", "0"], cwd=folder, env={**os.environ, **env}, check=True)
    with web_app([*manage, "runserver", "{port}", "--noreload"], folder, env) as client:
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', client.get("/").text)[0]
        form = {"csrfmiddlewaretoken": token}
        page = shown(client, client.post("/", files=receipt(), data=form))
        assert "4.1" in page
        assert "TEA HOUSE" in page
        assert client.post("/", files={"file": ("a.bin", b"\xff\xfe")}, data=form).status_code == 400
        assert client.get("/").text.count("tea.txt") == 1
        # The app's own row and the job are one: what fails after the submit leaves neither.
        with psycopg.connect(addresses["database_owner_url"]) as connection:
            before = connection.execute("select count(*) from jobs").fetchone()
            connection.execute("alter table receipts_upload add constraint closed check (false) not valid")
            connection.commit()
            assert client.post("/", files=receipt(), data=form).status_code == 500
            assert connection.execute("select count(*) from jobs").fetchone() == before
