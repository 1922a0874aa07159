"""DBOS' durable workflow of the same five steps.

    python dbos_workflow.py work
    python dbos_workflow.py        submits

What a dead process had begun is taken up again when it starts anew, at the step that it was in.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import httpx
import receipt
from dbos import DBOS, DBOSClient, DBOSConfig
from psycopg_pool import ConnectionPool
from submitting import serve

QUEUE = "receipts"
config: DBOSConfig = {
    "name": "receipts",
    "system_database_url": receipt.DATABASE,
    "application_version": "1",
    "max_executor_threads": receipt.CONCURRENCY,
    "sys_db_pool_size": 20,
    "log_level": "WARNING",
}
DBOS(config=config)


@cache
def database() -> ConnectionPool:
    return ConnectionPool(receipt.DATABASE, min_size=1, max_size=10, kwargs={"autocommit": True})


@cache
def client() -> httpx.Client:
    limits = httpx.Limits(max_connections=receipt.CONCURRENCY, max_keepalive_connections=receipt.CONCURRENCY)
    return httpx.Client(timeout=receipt.CALL_TIMEOUT_S, limits=limits)


@DBOS.step()
def validate(document: int) -> str:
    with database().connection() as connection:
        return receipt.validated(connection.execute(receipt.READ, (document,)).fetchone()[0])


@DBOS.step()
def context(text: str) -> list[dict[str, str]]:
    return receipt.messages(text)


@DBOS.step(retries_allowed=True, max_attempts=5)
def complete(document: int, asked: list[dict[str, str]]) -> str:
    reply = client().post(**receipt.request(document, asked))
    reply.raise_for_status()
    return receipt.content(reply.json())


@DBOS.step()
def parse(reply: str) -> str:
    return receipt.parsed(reply)


@DBOS.step()
def store(document: int, answer: str) -> None:
    with database().connection() as connection:
        connection.execute(receipt.STORE, (document, answer))


@DBOS.workflow()
def read_receipt(document: int) -> None:
    text = validate(document)
    reply = complete(document, context(text))
    store(document, parse(reply))


def work() -> None:
    database().wait()
    client()
    DBOS.launch()
    DBOS.register_queue(QUEUE, worker_concurrency=receipt.CONCURRENCY, polling_interval_sec=0.1)
    threading.Event().wait()


def submit() -> None:
    migrate = [Path(sys.executable).with_name("dbos"), "migrate", "--sys-db-url", receipt.DATABASE]
    subprocess.run(migrate, check=True, stdout=subprocess.DEVNULL)
    client = DBOSClient(system_database_url=receipt.DATABASE)

    def enqueue(documents: Sequence[int]) -> None:
        for each in documents:
            options = {"queue_name": QUEUE, "workflow_name": "read_receipt", "workflow_id": f"receipt-{each}"}
            client.enqueue({**options, "app_version": "1"}, each)

    serve(enqueue)


if __name__ == "__main__":
    work() if "work" in sys.argv else submit()
