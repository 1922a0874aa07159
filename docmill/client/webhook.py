"""Webhooks as the HTTP API shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Delivery", "Webhook"]


class Webhook(BaseModel):
    """An address that is told of events."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: int
    url: str
    events: list[str]
    name: str = ""
    secret: str | None = None
    """What its messages are signed with; shown where it is made, and never again."""


class Delivery(BaseModel):
    """An event that a webhook is told of."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: int
    message: str
    """The header ``webhook-id``, the same at each try."""
    event: str
    payload: dict[str, Any]
    state: str
    """waiting, delivered or failed."""
    tries: int
    due_at: datetime | None = None
    failure: str | None = None
