"""Addresses of endpoints, from base URLs as people write them."""

from __future__ import annotations

__all__ = ["joined"]


def joined(base_url: str, path: str) -> str:
    """``base_url`` and ``path`` without the part that both have: ``…/v1`` and ``/v1/chat`` give
    ``…/v1/chat``."""
    base = base_url.rstrip("/")
    parts = path.strip("/").split("/")
    for length in range(len(parts), 0, -1):
        shared = "/" + "/".join(parts[:length])
        if base.endswith(shared):
            return base + path[len(shared) :]
    return base + path
