"""Unit tests open no socket: whoever tries fails here, and not by what answers or does not."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest
from hypothesis import settings

settings.register_profile("docmill", deadline=None)
settings.load_profile("docmill")
"""No example is timed: a loaded machine is no defect."""


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a unit test opens a socket: hand a fake in, or make it an integration test")

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)
