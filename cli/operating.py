"""The commands for whoever runs a stack."""

from __future__ import annotations

from cli.demo import demo
from cli.doctor import doctor
from cli.services import api, beat, migrate, worker
from cli.simulate import simulate
from cli.stack import down, status
from cli.up import up

__all__ = ["PARTS", "RUNNING", "TRYING"]

RUNNING = (up, status, down)
TRYING = (doctor, demo, simulate)
PARTS = (migrate, worker, api, beat)
"""Of a stack, each by itself."""
