"""Real servers, as the integration tests have them."""

from __future__ import annotations

from tests.integration.conftest import engine, servers

__all__ = ["engine", "servers"]
