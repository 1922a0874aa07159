"""Webhooks: who is told of which events, and each delivery, until it is taken or given up.

A delivery is a row that a trigger writes in the transaction of its event (``db/sql/functions.sql``). Whoever sends
one takes it for a while; a process that dies meanwhile leaves it to others, so that it may come twice, and always
comes.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID

from sqlalchemy import Connection, select

from db.database import one_statement
from db.statements import statements_of
from db.tables import webhook_deliveries, webhooks
from docmill.bounds import check_text
from docmill.errors import SubmitRefused, WebhookUnknown
from docmill.storable import storable_text

__all__ = [
    "EVENTS",
    "STATES",
    "Delivery",
    "DeliveryState",
    "Due",
    "Event",
    "Webhook",
    "add",
    "deliveries",
    "exist",
    "find",
    "forget_old",
    "listed",
    "note_delivered",
    "note_failed",
    "pause_s",
    "remove",
    "resend",
    "take_due",
    "tell_of_runs",
]

SQL = statements_of("webhooks")

Event: TypeAlias = Literal["job.ended", "job.needs_review", "job.reviewed", "run.ended", "budget.reached"]
EVENTS: Mapping[Event, str] = {
    "job.ended": "a job is done, waits for a person, has failed or was cancelled",
    "job.needs_review": "a job's answer waits for a person",
    "job.reviewed": "a person has decided about it",
    "run.ended": "all of a run's jobs have ended, and it takes no more",
    "budget.reached": "a budget is nearly spent (80 percent), or spent",
}
DeliveryState: TypeAlias = Literal["waiting", "delivered", "failed"]
STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
MOST = 20
"""Of a tenant: each of its ends is told to all of them."""
LEASE_S = 30.0
"""Longer than a try takes: then another process tries."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWS = 5.0, 3 * 3600.0, 4.0
KEPT_S = 30 * 86_400.0
FORGOTTEN_AT_ONCE = 5_000
LONGEST_FAILURE = 300


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that is told of events."""

    id: int
    tenant: str
    name: str
    url: str
    events: list[str]
    of_operator: bool
    """It is told of budgets that are not its tenant's alone."""
    created_at: datetime

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "created_at": self.created_at.isoformat()}


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event that a webhook is told of."""

    id: int
    webhook_id: int
    message: UUID
    """As ``webhook-id`` tells it, the same at each try."""
    event: str
    payload: Mapping[str, Any]
    state: DeliveryState
    tries: int
    due_at: datetime | None
    """When it is tried next; None where it is not."""
    created_at: datetime
    delivered_at: datetime | None
    http_status: int | None
    """What the last try that failed was answered; None for no answer."""
    failure: str | None

    def as_json(self) -> dict[str, Any]:
        times = {name: at.isoformat() for name, at in vars(self).items() if isinstance(at, datetime)}
        return {**vars(self), **times, "message": str(self.message)}


@dataclass(frozen=True, kw_only=True)
class Due:
    """A delivery that is to be tried now."""

    id: int
    webhook_id: int
    message: UUID
    payload: Mapping[str, Any]
    tries: int
    """With this one."""
    url: str
    secret: bytes = field(repr=False)
    """Encrypted."""


def add(
    connection: Connection,
    *,
    tenant: str,
    url: str,
    events: Sequence[str],
    secret: bytes,
    name: str = "",
    of_operator: bool = False,
) -> Webhook:
    """Adds a webhook; ``secret`` is encrypted. Raises SubmitRefused for what cannot be one."""
    check_text("name", name)
    unknown = [event for event in events if event not in EVENTS]
    if unknown or not events:
        wrong = f"there is no {unknown[0]!r}" if unknown else "there is none"
        raise SubmitRefused(f"events: {wrong}: name some of {', '.join(EVENTS)}")
    values = {"tenant": tenant, "name": name, "url": url, "secret": secret, "of_operator": of_operator}
    wanted = {**values, "events": list(dict.fromkeys(events)), "most": MOST}
    found = SQL["add"].rows(connection, wanted, of=Webhook)
    if not found:
        raise SubmitRefused(f"a tenant has at most {MOST} webhooks: remove one")
    return found[0]


@one_statement
def exist(connection: Connection) -> bool:
    """Returns whether there is any webhook."""
    return bool(SQL["exist"].scalar(connection))


def find(connection: Connection, webhook_id: int, *, tenant: str | None = None) -> Webhook:
    """Raises WebhookUnknown, also for another tenant's."""
    found = [each for each in listed(connection, tenant=tenant) if each.id == webhook_id]
    if not found:
        raise WebhookUnknown(webhook_id)
    return found[0]


def listed(connection: Connection, *, tenant: str | None = None) -> list[Webhook]:
    """The webhooks, of one tenant or of all, the oldest first."""
    columns = [webhooks.c[name] for name in Webhook.__dataclass_fields__]
    wanted = select(*columns).order_by(webhooks.c.id)
    rows = connection.execute(wanted if tenant is None else wanted.where(webhooks.c.tenant == tenant))
    return [Webhook(**row) for row in rows.mappings()]


def remove(connection: Connection, webhook_id: int, *, tenant: str | None = None) -> None:
    """Ends a webhook, and what it was to be told, some at a time.

    In a unit of work that is not atomic, so that no job's end waits long for it. Raises WebhookUnknown.
    """
    if not SQL["silence"].count(connection, {"id": webhook_id, "tenant": tenant}):
        raise WebhookUnknown(webhook_id)
    while SQL["forget_deliveries"].count(connection, {"id": webhook_id, "limit": FORGOTTEN_AT_ONCE}):
        pass
    SQL["remove"].count(connection, {"id": webhook_id})


def deliveries(
    connection: Connection,
    webhook_id: int,
    *,
    state: DeliveryState | None = None,
    before: int | None = None,
    limit: int,
) -> list[Delivery]:
    """Returns what a webhook was told, and is to be told, the newest first."""
    columns = [webhook_deliveries.c[name] for name in Delivery.__dataclass_fields__]
    wanted = select(*columns).where(webhook_deliveries.c.webhook_id == webhook_id)
    if state is not None:
        wanted = wanted.where(webhook_deliveries.c.state == state)
    if before is not None:
        wanted = wanted.where(webhook_deliveries.c.id < before)
    rows = connection.execute(wanted.order_by(webhook_deliveries.c.id.desc()).limit(limit))
    return [Delivery(**row) for row in rows.mappings()]


def resend(connection: Connection, webhook_id: int, delivery_id: int | None = None) -> int:
    """Tells it again, as the same message: one delivery, or all that were given up; how many.

    Raises WebhookUnknown where the webhook has no such delivery.
    """
    resent = SQL["resend"].count(connection, {"webhook": webhook_id, "id": delivery_id})
    if delivery_id is not None and not resent:
        raise WebhookUnknown(webhook_id, delivery_id)
    return resent


@one_statement
def tell_of_runs(connection: Connection) -> None:
    """Writes deliveries for runs that have ended since."""
    SQL["tell_of_runs"].count(connection)


@one_statement
def take_due(
    connection: Connection, *, each: int, of_tenant: int, limit: int, under_way: Mapping[int, int]
) -> list[Due]:
    """Takes what is to be sent now, for this process alone, which has some ``under_way`` by webhook.

    With these there are at most ``each`` of a webhook, and ``of_tenant`` of a tenant.
    """
    numbers = {"webhooks": list(under_way), "numbers": list(under_way.values())}
    values = {**numbers, "each": each, "of_tenant": of_tenant, "limit": limit, "lease_s": LEASE_S}
    return SQL["take_due"].rows(connection, values, of=Due)


@one_statement
def note_delivered(connection: Connection, taken: Sequence[Due]) -> None:
    """Notes that the other side took them."""
    SQL["note_delivered"].count(connection, {"ids": [each.id for each in taken]})


@one_statement
def note_failed(connection: Connection, due: Due, told: str, status: int | None) -> None:
    """Notes that it did not: it is told again later, or given up after a day. ``told`` is the reason."""
    values = {"id": due.id, "tries": due.tries, "status": status, "failure": storable_text(told, LONGEST_FAILURE)}
    SQL["note_failed"].count(connection, {**values, "pause_s": pause_s(due.tries)})


def pause_s(tries: int, draw: float | None = None) -> float:
    """Returns how long to wait after so many tries: 5 s, then four times as long each, at most three hours.

    A fifth more or less by ``draw``, from 0 to 1.
    """
    spread = random.random() if draw is None else draw  # noqa: S311 - no secret
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * PAUSE_GROWS ** min(tries - 1, 10))
    return longest * (0.8 + 0.4 * spread)


def forget_old(connection: Connection) -> int:
    """Deletes deliveries that were taken or given up a month ago; how many."""
    return SQL["forget_old"].count(connection, {"older_s": KEPT_S, "limit": FORGOTTEN_AT_ONCE})
