"""Ports of a stack: the usual ones where they are free, and the same ones at each start."""

from __future__ import annotations

import errno
import json
import socket
from contextlib import ExitStack
from pathlib import Path

from docmill.errors import Misconfigured

__all__ = ["USUAL", "Ports", "free_port"]

USUAL = {"api": 8080, "flower": 5555}
KEPT = "ports.json"
"""A file of the data folder."""
TRIED = 100
"""How many ports from the usual one on are looked at."""


class Ports:
    """The ports that the stack on a data folder listens at, until it is closed.

    Between a look at a port and a program's listening there, another stack may take it. So each is also taken by a
    name that all stacks of this network know (an abstract socket, which ends with its process).
    """

    def __init__(self, data: Path) -> None:
        self._file = data / KEPT
        self._names = ExitStack()

    def close(self) -> None:
        """Lets other stacks have the ports."""
        self._names.close()

    def take(self, name: str, *, host: str, given: int | None) -> int:
        """Takes the port that was ``given``, or the one of the last start, or the next free one from the usual on.

        Raises Misconfigured where the one that was given is taken, or none is free.
        """
        if given is not None:
            if not self._take(given, host):
                raise Misconfigured(
                    f"port {given} of {host} is taken by another program: end that, or set "
                    f"DOCMILL_{name.upper()}_PORT to another"
                )
            return given
        usual = USUAL[name]
        ports = range(usual, usual + TRIED)
        last = self._kept().get(name)
        for port in sorted(ports, key=lambda port: port != last):
            if self._take(port, host):
                self._keep(name, port)
                return port
        raise Misconfigured(
            f"ports {usual} to {usual + TRIED - 1} of {host} are taken: "
            f"set DOCMILL_{name.upper()}_PORT to a free one"
        )

    def _take(self, port: int, host: str) -> bool:
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0docmill-port-{port}")
        except OSError:
            name.close()
            return False
        if not _is_free(host, port):
            name.close()
            return False
        self._names.callback(name.close)
        return True

    def _kept(self) -> dict[str, object]:
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    def _keep(self, name: str, port: int) -> None:
        self._file.write_text(json.dumps({**self._kept(), name: port}), encoding="utf-8")


def _is_free(host: str, port: int) -> bool:
    """Tells whether a server could listen there; as with servers, connections that just ended are in no way.

    An address that is none of this machine's is the server's own to complain about.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen()
        except OSError as error:
            return error.errno not in (errno.EADDRINUSE, errno.EACCES)
    return True


def free_port() -> int:
    """Finds a port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
