"""``docmill webhooks``: who is told of events, and what they were told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, open_stack, print_json, print_table
from cli.nouns import Noun
from docmill.errors import Misconfigured

if TYPE_CHECKING:
    from db.webhooks import DeliveryState

__all__ = ["webhooks"]

webhooks = typer.Typer(cls=Noun, help="Addresses that are told of events.", no_args_is_help=False)

WebhookId = Annotated[int, typer.Argument(metavar="ID")]


@webhooks.command("list")
def list_webhooks(as_json: AsJson = False, data: Data = None) -> None:
    """Every webhook, by its id; secrets are not shown again."""
    from db.webhooks import listed

    with open_stack(data) as (_, database):
        found = database.run(listed)
    if as_json:
        for each in found:
            print_json(each.as_json())
        return
    rows = [(each.id, each.tenant, each.name, each.url, ", ".join(each.events), each.created_at) for each in found]
    print_table("Webhooks", ("id", "tenant", "name", "address", "events", "made"), rows)


@webhooks.command()
def key(as_json: AsJson = False) -> None:
    """Make a key for DOCMILL_WEBHOOK_KEY. It is kept nowhere."""
    from docmill.net.sealing import new_key

    made = new_key()
    if as_json:
        print_json({"key": made})
    else:
        typer.echo(made)


@webhooks.command()
def add(
    url: Annotated[str, typer.Argument(help="With https, public; or at a host of DOCMILL_WEBHOOK_HOSTS.")],
    events: Annotated[
        str,
        typer.Option(
            help="Of job.ended, job.needs_review, job.reviewed, run.ended and budget.reached, parted by commas."
        ),
    ] = "job.ended",
    tenant: Annotated[str, typer.Option(help="Whose events.")] = "default",
    name: Annotated[str, typer.Option(help="To tell it from others.")] = "",
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Make a webhook. Its secret is shown this once."""
    from db.webhooks import add as make
    from docmill.net.webhook import check_address, new_secret, shown_secret

    wanted = [event.strip() for event in events.split(",") if event.strip()]
    with open_stack(data) as (settings, database):
        check_address(url, private_hosts=settings.private_webhook_hosts)
        secret = new_secret()
        made = database.run(
            make,
            tenant=tenant,
            url=url,
            events=wanted,
            secret=settings.webhook_seal.close(secret),
            name=name,
            of_operator=True,
        )
    if as_json:
        print_json({**made.as_json(), "secret": shown_secret(secret)})
    else:
        typer.echo(f"webhook {made.id}, with the secret\n{shown_secret(secret)}\nIt is shown this once.")


@webhooks.command()
def remove(webhook_id: WebhookId, as_json: AsJson = False, data: Data = None) -> None:
    """End a webhook, and what it was still to be told."""
    from db import webhooks

    with open_stack(data) as (_, database), database.work(atomic=False) as connection:
        webhooks.remove(connection, webhook_id)
    if as_json:
        print_json({"id": webhook_id, "removed": True})
    else:
        typer.echo(f"webhook {webhook_id} is told no more")


@webhooks.command()
def deliveries(
    webhook_id: WebhookId,
    state: Annotated[str | None, typer.Option(help="waiting, delivered or failed.")] = None,
    before: Annotated[int | None, typer.Option(help="The id that the page before ended with.")] = None,
    limit: int = 50,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """What a webhook was told, and is still to be told, the newest first."""
    from db.webhooks import deliveries as told
    from db.webhooks import find

    with open_stack(data) as (_, database), database.work() as connection:
        find(connection, webhook_id)
        found = told(connection, webhook_id, state=_state(state), before=before, limit=limit)
    if as_json:
        for each in found:
            print_json(each.as_json())
        return
    rows = [
        (each.id, each.event, each.state, each.tries, each.created_at, each.due_at or "", each.failure or "")
        for each in found
    ]
    print_table("Deliveries", ("id", "event", "is", "tries", "of", "next try", "why not"), rows)


def _state(given: str | None) -> DeliveryState | None:
    from db.webhooks import STATES

    if given is None:
        return None
    found = next((state for state in STATES if state == given), None)
    if found is None:
        raise Misconfigured(f"--state: there is no {given!r}: use one of {', '.join(STATES)}")
    return found


@webhooks.command()
def resend(
    webhook_id: WebhookId,
    delivery_id: Annotated[
        int | None, typer.Argument(metavar="DELIVERY", help="Without it, all that were given up.")
    ] = None,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Tell a webhook again, as the same message: a delivery, or all that it did not take within a day."""
    from db.webhooks import find
    from db.webhooks import resend as again

    with open_stack(data) as (_, database), database.work() as connection:
        find(connection, webhook_id)
        resent = again(connection, webhook_id, delivery_id)
    if as_json:
        print_json({"id": webhook_id, "resent": resent})
    else:
        typer.echo(f"webhook {webhook_id} is told {resent} again")
