"""procrastinate: all five steps in one task, hundreds of them in one event loop.

    python procrastinate_task.py work
    python procrastinate_task.py        submits

A job of a worker that died is given to another by a periodic task, as procrastinate's manual has it: after 30 s
without a sign of life, which is its default.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import httpx
import procrastinate
import psycopg
import receipt
from procrastinate import App, PsycopgConnector, RetryStrategy
from psycopg_pool import AsyncConnectionPool
from submitting import serve

app = App(connector=PsycopgConnector(conninfo=receipt.DATABASE, min_size=1, max_size=10))
limits = httpx.Limits(max_connections=receipt.CONCURRENCY, max_keepalive_connections=receipt.CONCURRENCY)
client = httpx.AsyncClient(timeout=receipt.CALL_TIMEOUT_S, limits=limits)
database = AsyncConnectionPool(receipt.DATABASE, min_size=1, max_size=10, open=False, kwargs={"autocommit": True})


@app.task(name="read_receipt", retry=RetryStrategy(max_attempts=5, exponential_wait=2))
async def read_receipt(document: int) -> None:
    async with database.connection() as connection:
        row = await (await connection.execute(receipt.READ, (document,))).fetchone()
    asked = receipt.messages(receipt.validated(row[0]))
    reply = await client.post(**receipt.request(document, asked))
    reply.raise_for_status()
    answer = receipt.parsed(receipt.content(reply.json()))
    async with database.connection() as connection:
        await connection.execute(receipt.STORE, (document, answer))


@app.periodic(cron="* * * * * */10")
@app.task(name="retry_stalled", queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:  # noqa: ARG001 - it is given
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.retry_job(job)


async def work() -> None:
    async with app.open_async(), database, client:
        await app.run_worker_async(concurrency=receipt.CONCURRENCY, install_signal_handlers=True)


def submit() -> None:
    with psycopg.connect(receipt.DATABASE, autocommit=True) as connection:
        connection.execute(app.schema_manager.get_schema())
    with app.open():
        deferrer = read_receipt.configure()

        def enqueue(documents: Sequence[int]) -> None:
            deferrer.batch_defer(*({"document": each} for each in documents))

        serve(enqueue)


if __name__ == "__main__":
    asyncio.run(work()) if "work" in sys.argv else submit()
