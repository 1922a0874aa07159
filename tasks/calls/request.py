"""What a job asks a model, from what is on record: the same job gives the same request."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.jobs import Job
from docmill.llm.types import Request
from docmill.parts import Part
from docmill.settings import Model
from prompts import Excerpt, PromptVersion
from tasks.stages.window import output_limit

__all__ = ["PartShown", "as_json", "compose", "compose_part", "input_hash"]


def compose(job: Job, prompt: PromptVersion, model: Model, excerpt: Excerpt, previous: str | None) -> Request:
    """The request of the job's present attempt; ``previous`` is the reply that a correction is about."""
    messages = prompt.render(excerpt, job.params)
    if job.purpose == "correction" and previous is not None:
        messages = prompt.render_correction(messages, previous, _problems(job))
    limits = prompt.config.limits
    return Request(
        model=model.model,
        messages=messages,
        max_output_tokens=output_limit(job, prompt),
        temperature=limits.temperature,
        json_schema=prompt.schema if model.structured == "schema" and job.purpose != "json_mode" else None,
        json_mode=model.structured == "json" or job.purpose == "json_mode",
        cache_key=f"docmill-{prompt.name}-{prompt.version}",
    )


@dataclass(frozen=True, kw_only=True)
class PartShown:
    """A part, and what the model is shown for it."""

    part: Part
    excerpt: Excerpt


def compose_part(job: Job, prompt: PromptVersion, model: Model, shown: PartShown, previous: str | None) -> Request:
    """The request about a part; ``previous`` is the reply that it corrects."""
    part, messages = shown.part, prompt.render_part(shown.excerpt, job.params)
    if part.corrects is not None and previous is not None:
        messages = prompt.render_correction(messages, previous, part.problems)
    return Request(
        model=model.model,
        messages=messages,
        max_output_tokens=part.output or output_limit(job, prompt),
        temperature=prompt.config.limits.temperature,
        json_schema=prompt.part_schema if model.structured == "schema" else None,
        json_mode=model.structured == "json",
        cache_key=f"docmill-{prompt.name}-{prompt.version}-parts",
    )


def input_hash(model: Model, request: Request) -> bytes:
    """sha256 over everything that the answer depends on."""
    return hashlib.sha256(json.dumps([model.provider, as_json(request)], sort_keys=True).encode()).digest()


def as_json(request: Request) -> Mapping[str, Any]:
    """The request as it is kept: the messages as sent, and the settings that shape the answer."""
    return {
        "model": request.model,
        "messages": [message.as_json() for message in request.messages],
        "max_output_tokens": request.max_output_tokens,
        "temperature": request.temperature,
        "structured": "schema" if request.json_schema else "json" if request.json_mode else "prompt",
    }


def _problems(job: Job) -> list[str]:
    return list(job.history[-1].get("problems", ())) if job.history else []
