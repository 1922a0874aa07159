"""Webhooks over HTTP: made, listed, ended; what they were told, and told again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from db import webhooks
from db.webhooks import EVENTS, DeliveryState, Event
from docmill.net.webhook import LONGEST_ADDRESS, check_address, new_secret, shown_secret
from docmill.settings import Settings
from web.access import Asking, Database, Operating, Tenant
from web.problems import documented
from web.schemas import LARGEST_ID, Storable

__all__ = ["router"]

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], responses=documented(401, 422, 503))

WebhookId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
DeliveryId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
EXAMPLE: dict[str, Any] = {
    "url": "https://example.com/hooks/docmill",
    "events": ["job.ended", "job.needs_review"],
    "name": "bookkeeping",
}
MEANT = "; ".join(f"`{event}`: {meant}" for event, meant in EVENTS.items())


class WebhookWanted(BaseModel):
    """Where events are told."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [EXAMPLE]})

    url: str = Field(
        max_length=LONGEST_ADDRESS,
        pattern=r"^https?://[!-~]+$",
        description="With https, at a public address; or at a host that the operator has named",
    )
    events: list[Event] = Field(min_length=1, max_length=len(EVENTS), description=MEANT)
    name: Storable = ""


class WebhookShown(BaseModel):
    """An address that is told of events."""

    id: int
    name: str
    url: str
    events: list[Event]
    created_at: datetime


class WebhookMade(WebhookShown):
    """A new one, with what its messages are signed with."""

    secret: str = Field(description="Shown this once: receivers verify with it that a message is docmill's")


class Webhooks(BaseModel):
    """Those of the tenant, the oldest first."""

    webhooks: list[WebhookShown]


class DeliveryShown(BaseModel):
    """An event that a webhook is told of."""

    id: int
    message: str = Field(
        description="The header `webhook-id`: the same at each try, so that twice is seen as once"
    )
    event: str
    payload: dict[str, Any] = Field(description="What is sent")
    state: DeliveryState
    tries: int
    due_at: datetime | None = Field(description="When it is tried next; null where it is not")
    created_at: datetime
    delivered_at: datetime | None
    http_status: int | None = Field(description="What the last try that failed was answered; null for no answer")
    failure: str | None


class DeliveryPage(BaseModel):
    """The newest first."""

    deliveries: list[DeliveryShown]
    next: int | None = Field(description="The `cursor` of the next page; null on the last")


class Resent(BaseModel):
    """How many are told again."""

    resent: int


@router.post(
    "", status_code=201, response_model=WebhookMade, summary="Make a webhook", responses=documented(408, 413)
)
def add_webhook(
    wanted: WebhookWanted,
    request: Request,
    response: Response,
    database: Database,
    asking: Asking,
    tenant: Operating,
) -> dict[str, Any]:
    """Needs the scope `operate`. One that `admin` made is also told of budgets that are not its tenant's alone."""
    settings: Settings = request.app.state.settings
    seal = settings.webhook_seal
    check_address(wanted.url, private_hosts=settings.private_webhook_hosts)
    secret = new_secret()
    made = database.run(
        webhooks.add,
        tenant=tenant,
        url=wanted.url,
        events=wanted.events,
        secret=seal.close(secret),
        name=wanted.name,
        of_operator=asking.may("admin"),
    )
    response.headers["location"] = f"/v1/webhooks/{made.id}"
    return {**made.as_json(), "secret": shown_secret(secret)}


@router.get("", response_model=Webhooks, summary="The webhooks")
def list_webhooks(database: Database, tenant: Tenant) -> dict[str, Any]:
    """Their secrets are not shown again."""
    return {"webhooks": [each.as_json() for each in database.run(webhooks.listed, tenant=tenant)]}


@router.get("/{webhook_id}", response_model=WebhookShown, summary="A webhook", responses=documented(404))
def show_webhook(webhook_id: WebhookId, database: Database, tenant: Tenant) -> dict[str, Any]:
    return database.run(webhooks.find, webhook_id, tenant=tenant).as_json()


@router.delete("/{webhook_id}", status_code=204, summary="End a webhook", responses=documented(404))
def remove_webhook(webhook_id: WebhookId, database: Database, tenant: Operating) -> None:
    """What it was still to be told goes with it."""
    with database.work(atomic=False) as connection:
        webhooks.remove(connection, webhook_id, tenant=tenant)


@router.get(
    "/{webhook_id}/deliveries",
    response_model=DeliveryPage,
    summary="What a webhook was told",
    responses=documented(404),
)
def list_deliveries(
    webhook_id: WebhookId,
    database: Database,
    tenant: Tenant,
    state: DeliveryState | None = None,
    cursor: Annotated[int | None, Query(ge=1, le=LARGEST_ID, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """And what it is still to be told. Kept for 30 days."""
    with database.work() as connection:
        webhooks.find(connection, webhook_id, tenant=tenant)
        found = webhooks.deliveries(connection, webhook_id, state=state, before=cursor, limit=limit + 1)
    page = [each.as_json() for each in found[:limit]]
    return {"deliveries": page, "next": page[-1]["id"] if len(found) > limit else None}


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/resend",
    status_code=202,
    response_model=Resent,
    summary="Tell a webhook again",
    responses=documented(404),
)
def resend(
    webhook_id: WebhookId, delivery_id: DeliveryId, database: Database, tenant: Operating
) -> dict[str, int]:
    """As the same message, whatever became of it before; for a day, if need be."""
    with database.work() as connection:
        webhooks.find(connection, webhook_id, tenant=tenant)
        return {"resent": webhooks.resend(connection, webhook_id, delivery_id)}


@router.post(
    "/{webhook_id}/resend",
    status_code=202,
    response_model=Resent,
    summary="Tell a webhook all that it did not take",
    responses=documented(404),
)
def resend_failed(webhook_id: WebhookId, database: Database, tenant: Operating) -> dict[str, int]:
    """Each delivery that was given up."""
    with database.work() as connection:
        webhooks.find(connection, webhook_id, tenant=tenant)
        return {"resent": webhooks.resend(connection, webhook_id)}
