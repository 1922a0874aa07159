"""A Celery chain of five tasks, as it is written by hand: httpx, psycopg, late acknowledgement.

    celery -A celery_chain worker --pool threads --concurrency 100        (or --pool prefork)
    python celery_chain.py        submits

``acks_late`` and ``reject_on_worker_lost`` keep what a dead worker had in hand, and others get it after the
visibility timeout: an hour unless told, and here what a call may take. Ten messages in 100 s are given back unless
told, too.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

import httpx
import receipt
from celery import Celery, chain
from psycopg_pool import ConnectionPool
from submitting import serve

app = Celery("celery_chain", broker=os.environ["PEERS_BROKER"])
app.conf.update(
    task_default_queue=os.environ["PEERS_QUEUE"],
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={
        "visibility_timeout": receipt.CALL_TIMEOUT_S + 10,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    },
)


@cache
def database() -> ConnectionPool:
    """Opened in the process that uses it: prefork's children share no connection."""
    return ConnectionPool(receipt.DATABASE, min_size=1, max_size=10, kwargs={"autocommit": True})


@cache
def client() -> httpx.Client:
    limits = httpx.Limits(max_connections=receipt.CONCURRENCY, max_keepalive_connections=receipt.CONCURRENCY)
    return httpx.Client(timeout=receipt.CALL_TIMEOUT_S, limits=limits)


@app.task
def validate(document: int) -> dict[str, Any]:
    with database().connection() as connection:
        row = connection.execute(receipt.READ, (document,)).fetchone()
    return {"document": document, "text": receipt.validated(row[0])}


@app.task
def context(found: dict[str, Any]) -> dict[str, Any]:
    return {"document": found["document"], "messages": receipt.messages(found["text"])}


@app.task(autoretry_for=(httpx.HTTPError,), retry_backoff=True, max_retries=5)
def complete(asked: dict[str, Any]) -> dict[str, Any]:
    reply = client().post(**receipt.request(asked["document"], asked["messages"]))
    reply.raise_for_status()
    return {"document": asked["document"], "reply": receipt.content(reply.json())}


@app.task
def parse(answered: dict[str, Any]) -> dict[str, Any]:
    return {"document": answered["document"], "answer": receipt.parsed(answered["reply"])}


@app.task
def store(checked: dict[str, Any]) -> None:
    with database().connection() as connection:
        connection.execute(receipt.STORE, (checked["document"], checked["answer"]))


def enqueue(documents: Sequence[int]) -> None:
    for each in documents:
        chain(validate.s(each), context.s(), complete.s(), parse.s(), store.s()).apply_async()


if __name__ == "__main__":
    serve(enqueue)
