"""Replies about a document's parts are judged: each is an answer or rejected, and what follows from all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from db import parts
from db.jobs import Job
from docmill.errors import ReplyRejected, ReplyTruncated
from docmill.parsing import accept_part
from docmill.parsing.cells import cells_apart
from docmill.parts import Lines, Shown
from docmill.parts.rounds import Plan, Round, Whole, next_round
from prompts import PromptVersion
from tasks.services import Services
from tasks.setbacks import policy_of
from tasks.stages.window import output_limit

__all__ = ["round_of"]


def round_of(
    services: Services, job: Job, prompt: PromptVersion, plan: Plan, replies: Sequence[parts.Reply]
) -> Round:
    """Judges the replies of a job's parts: which answers stand, and so what is asked next or what the whole is."""
    document = job.document
    lines = Lines(cells_apart(document.text or "", document.media_type) if document else "")
    told = {each.part: each for each in replies}
    too_large = set((job.context or {}).get("overflowed", ()))
    accepted: dict[int, Any] = {}
    rejected: dict[int, ReplyRejected] = {}
    seen = {part.number: Shown(lines, part.shown) for part in plan.parts if not part.lost}
    for part in plan.parts:
        if part.lost:
            continue
        try:
            if part.number in too_large:
                raise ReplyTruncated("it is larger than the model takes")
            accepted[part.number] = _accepted(prompt, seen[part.number], told.get(part.number))
        except ReplyRejected as error:
            rejected[part.number] = error
    policy = policy_of(services, prompt, job, jitter=0.0)
    whole = Whole(
        lines=lines,
        pages=(document.pages if document else None) or (0,),
        schema=prompt.schema,
        output=prompt.output_model,
        ladder=len(prompt.config.ladder),
        output_limit=output_limit(job, prompt),
        most_output=policy.model_max_output_tokens,
        seen=seen,
    )
    return next_round(whole, plan, accepted, rejected)


def _accepted(prompt: PromptVersion, seen: Shown, reply: parts.Reply | None) -> Mapping[str, Any]:
    """A part's answer. Raises ReplyRejected, also for one that was erased."""
    if reply is None:
        raise ReplyRejected("the reply is gone")
    return accept_part(
        reply.words,
        prompt.part_model,
        document=seen.document,
        finish_reason=reply.finish_reason,
    )
