"""Every route of the API: all of them ask for a key."""

from __future__ import annotations

from fastapi import APIRouter

from web import collections, costs, documents, inventory, jobs, operated, reviews, runs, submits, webhooks

__all__ = ["API"]

API: tuple[APIRouter, ...] = tuple(
    room.router
    for room in (submits, jobs, runs, documents, collections, costs, reviews, inventory, operated, webhooks)
)
