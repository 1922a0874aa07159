"""The five steps that all peers take: a document is read, asked about, answered, checked and stored.

Whoever has no docmill writes these by hand. Each peer calls them in its own way; nothing of docmill is imported.
"""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

DATABASE = os.environ["PEERS_DATABASE"]
LLM = os.environ["PEERS_LLM"]
CONCURRENCY = int(os.environ["PEERS_CONCURRENCY"])
"""Documents under way at once."""
CALL_TIMEOUT_S = 20
MODEL = "sim-small"
CHAT = f"{LLM}/v1/chat/completions"
LARGEST = 100_000

READ = "select body from documents where id = %s"
STORE = """
insert into answers (document, answer) values (%s, %s)
on conflict (document) do update set answer = excluded.answer, stored = answers.stored + 1
"""
"""A document has one answer; ``stored`` tells how often it was written."""
SYSTEM = (
    "You read till receipts. Copy the shop's name exactly as it is printed. Dates are YYYY-MM-DD, amounts plain "
    "numbers. What the document does not say is null."
)


class Receipt(BaseModel):
    company: str
    address: str | None = None
    date: date
    total: Decimal
    currency: str | None = None


def validated(body: bytes) -> str:
    """The text of a document. Raises ValueError for what is none."""
    if not 0 < len(body) <= LARGEST:
        raise ValueError("the document is empty or too large")
    return body.decode()


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]


def request(document: int, asked: list[dict[str, str]]) -> dict[str, Any]:
    """What httpx posts; the header names the document in the provider's bill."""
    schema = {"name": "receipt", "schema": Receipt.model_json_schema()}
    return {
        "url": CHAT,
        "headers": {"x-client-request-id": str(document)},
        "json": {
            "model": MODEL,
            "messages": asked,
            "max_completion_tokens": 512,
            "response_format": {"type": "json_schema", "json_schema": schema},
        },
    }


def content(reply: dict[str, Any]) -> str:
    return str(reply["choices"][0]["message"]["content"])


def parsed(reply: str) -> str:
    """The answer, checked, as JSON. Raises ValueError where it is none."""
    return Receipt.model_validate(json.loads(reply)).model_dump_json()
