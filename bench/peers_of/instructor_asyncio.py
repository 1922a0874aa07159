"""Instructor and asyncio: no queue and no durability, a loop over the documents that have no answer yet.

    python instructor_asyncio.py work
    python instructor_asyncio.py        submits

What was in the process when it died is asked again by the next one, and paid again.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import instructor
import receipt
from openai import AsyncOpenAI
from psycopg_pool import AsyncConnectionPool
from submitting import serve

WAITING = "select id, body from documents d where not exists (select from answers where document = d.id)"
LOOK_EVERY_S = 0.2

database = AsyncConnectionPool(receipt.DATABASE, min_size=1, max_size=10, open=False, kwargs={"autocommit": True})
client = instructor.from_openai(
    AsyncOpenAI(base_url=f"{receipt.LLM}/v1", api_key="none", timeout=receipt.CALL_TIMEOUT_S, max_retries=5),
    mode=instructor.Mode.JSON_SCHEMA,
)
slots = asyncio.Semaphore(receipt.CONCURRENCY)


async def read_receipt(document: int, body: bytes) -> None:
    async with slots:
        answer = await client.chat.completions.create(
            model=receipt.MODEL,
            messages=receipt.messages(receipt.validated(body)),
            response_model=receipt.Receipt,
            max_completion_tokens=512,
            extra_headers={"x-client-request-id": str(document)},
        )
        async with database.connection() as connection:
            await connection.execute(receipt.STORE, (document, answer.model_dump_json()))


async def work() -> None:
    async with database:
        while True:
            async with database.connection() as connection:
                rows = await (await connection.execute(WAITING)).fetchall()
            for failed in await asyncio.gather(*(read_receipt(*row) for row in rows), return_exceptions=True):
                if failed is not None:
                    logging.error("a receipt was not read", exc_info=failed)
            await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    asyncio.run(work()) if "work" in sys.argv else serve(lambda _: None)
