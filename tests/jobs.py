"""A job, a prompt and a model as stages are handed them, for tests of what is decided without a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from db.jobs import Document, Job
from db.ledger import Intent
from docmill.llm.types import Message, Request
from docmill.settings import Model
from prompts import PromptVersion, Registry
from tasks.calls.call import Call

__all__ = ["call_for", "job_with", "model", "prompt"]


def job_with(**changes: Any) -> Job:
    """A job at complete, before its first call."""
    values: dict[str, Any] = {
        "id": 7, "tenant": "t", "feature": "f", "usr": "", "lane": "bulk", "chain": "document", "document_id": 1,
        "collection": None, "prompt": "receipt", "version": "v1", "params": {}, "stage": "complete", "epoch": 1,
        "attempt": 0, "purpose": "first", "model": None, "history": [], "context": None, "value": None, "crashes": 0,
        "redrives": 0, "flight_key": None, "fresh": False, "overdue": False,
        "document": Document(id=1, name="a.txt", media_type="text/plain", text="TEA 4.10", body=b""),
    }  # fmt: skip
    return Job(**{**values, **changes})


def prompt(name: str = "receipt", version: str = "v1") -> PromptVersion:
    return Registry().get(name, version)


def model(**changes: Any) -> Model:
    values: dict[str, Any] = {
        "name": "small", "provider": "simulator", "model": "sim-small", "base_url": "http://127.0.0.1:1",
        "account": "a", "key": None,
    }  # fmt: skip
    return Model(**{**values, **changes})


def call_for(job: Job, *, tokens: int = 100, input_hash: bytes = b"i", content_hash: bytes = b"c") -> Call:
    """The call of a job, counted as ``tokens`` beside its output limit of 64."""
    request = Request(model="sim-small", messages=(Message(role="user", content="U"),), max_output_tokens=64)
    intent = Intent(
        id=UUID(int=7), content_hash=content_hash, input_hash=input_hash, provider="simulator", account="a",
        model="sim-small", request={}, remedy=None, reserved_usd=None, owner="test",
    )  # fmt: skip
    counted = replace(job, context={**(job.context or {}), "tokens": tokens})
    return Call(job=counted, prompt=prompt(), model=model(), request=request, intent=intent)
