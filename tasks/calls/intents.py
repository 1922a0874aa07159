"""The intent of a call: what the ledger is told of it before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

from db.jobs import Job
from db.ledger import Intent
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion
from tasks.calls.request import as_json, input_hash

__all__ = ["intent_about", "intent_to_ask", "last_remedy"]


def intent_to_ask(
    prompt: PromptVersion,
    model: Model,
    request: Request,
    *,
    reserved_usd: Decimal | None,
    owner: str,
    remedy: str | None,
    kept: bool = True,
    part: int = 0,
) -> Intent:
    """Makes the intent of a request of a prompt's; its messages are ``kept`` with the call, or not."""
    return intent_about(
        model,
        input_hash(model, request),
        content_hash=prompt.content_hash,
        request=as_json(request) if kept else {},
        reserved_usd=reserved_usd,
        owner=owner,
        remedy=remedy,
        part=part,
    )


def intent_about(
    model: Model,
    hashed: bytes,
    *,
    reserved_usd: Decimal | None,
    owner: str = "",
    remedy: str | None = None,
    content_hash: bytes = b"",
    request: Mapping[str, Any] | None = None,
    part: int = 0,
) -> Intent:
    """Makes the intent of a call of a model's about an input that is ``hashed``; USD are its worst case."""
    return Intent(
        id=uuid4(),
        content_hash=content_hash,
        input_hash=hashed,
        provider=model.provider,
        account=model.account,
        model=model.model,
        request=request or {},
        remedy=remedy,
        reserved_usd=reserved_usd,
        owner=owner,
        part=part,
    )


def last_remedy(job: Job) -> str | None:
    """Returns what was done about the job's last failure, which this call is part of; None for a first one."""
    return str(job.history[-1]["remedy"]) if job.history else None
