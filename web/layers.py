"""What every request passes before it comes to a route."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI

from web.heads import Heads
from web.limits import BodyLimit, Bounds
from web.origins import Origins
from web.request_ids import RequestIds

__all__ = ["put_before"]


def put_before(app: FastAPI, *, bounds: Bounds, origins: Sequence[str]) -> None:
    """Puts the layers before the routes; the last one that is added is passed first."""
    app.add_middleware(Heads)
    app.add_middleware(BodyLimit, bounds=bounds)
    if origins:
        app.add_middleware(Origins, allowed=origins)
    app.add_middleware(RequestIds)
