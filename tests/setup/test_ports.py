"""Ports: the usual ones, the same ones again, and the next where they are taken."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from docmill.errors import Misconfigured
from workers.stack import ports
from workers.stack.ports import Ports, free_port


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """What is usual on this machine may be taken."""
    found = free_port()
    monkeypatch.setattr(ports, "USUAL", {"api": found})
    return found


def listening(host: str, port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    return server


def taken(data: Path, given: int | None = None) -> int:
    mine = Ports(data)
    try:
        return mine.take("api", host="127.0.0.1", given=given)
    finally:
        mine.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_next_free_port_is_taken_and_kept(tmp_path: Path, usual: int, host: str) -> None:
    with listening(host, usual):
        assert taken(tmp_path) == usual + 1
    assert taken(tmp_path) == usual + 1, "bookmarks keep"
    (tmp_path / "other").mkdir()
    assert taken(tmp_path / "other") == usual


def test_a_connection_that_ended_lately_takes_no_port(tmp_path: Path, usual: int) -> None:
    with listening("127.0.0.1", usual) as server, socket.create_connection(("127.0.0.1", usual)):
        server.accept()[0].close()  # the server ends it, and so its side waits
    assert taken(tmp_path) == usual


def test_two_stacks_that_start_at_once_take_two(tmp_path: Path, usual: int) -> None:
    (tmp_path / "a").mkdir()
    first = Ports(tmp_path / "a")
    assert first.take("api", host="127.0.0.1", given=None) == usual
    assert taken(tmp_path) == usual + 1, "nobody listens yet"
    first.close()


def test_a_port_that_was_asked_for_is_taken_or_nothing(tmp_path: Path, usual: int) -> None:
    assert taken(tmp_path, given=usual) == usual
    with listening("127.0.0.1", usual), pytest.raises(Misconfigured, match=f"port {usual} .* DOCMILL_API_PORT"):
        taken(tmp_path, given=usual)


@pytest.mark.parametrize("kept", ["", "[]", '{"api": "8080"}', '{"api": 99999999}', '{"api": null}', "\x00"])
def test_a_file_that_says_nonsense_is_no_matter(tmp_path: Path, usual: int, kept: str) -> None:
    (tmp_path / "ports.json").write_text(kept)
    assert taken(tmp_path) == usual


def test_where_all_are_taken_it_says_so(tmp_path: Path, usual: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "TRIED", 1)
    with listening("127.0.0.1", usual), pytest.raises(Misconfigured, match="set DOCMILL_API_PORT to a free one"):
        taken(tmp_path)
