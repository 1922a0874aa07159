"""The calls about the parts of a document: what each asks, what they cost together, and the key of their work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from db import parts
from db.jobs import Job
from docmill.llm.tokens import counter_for
from docmill.parts import Part
from docmill.parts.rounds import Plan
from prompts import Excerpt, PromptVersion
from tasks.calls.call import Call
from tasks.calls.intents import intent_to_ask
from tasks.calls.request import PartShown, compose_part
from tasks.calls.reserve import worst_case
from tasks.services import Services
from tasks.stages.window import ladder_model

__all__ = ["Asking", "PartCall", "part_key"]


@dataclass(frozen=True, kw_only=True)
class PartCall(Call):
    """A call about a part."""

    about: Part
    estimate: int
    """Tokens of its messages, as docmill counts them."""

    @property
    def tokens(self) -> int:
        return self.estimate + self.request.max_output_tokens


def part_key(tenant: str, input_digest: bytes, content_hash: bytes | None) -> bytes:
    """The key of a part's answer in the cache."""
    return hashlib.sha256(b"\0".join((b"part", tenant.encode(), input_digest, content_hash or b""))).digest()


@dataclass(frozen=True, kw_only=True)
class Asking:
    """A job whose document is asked in parts, and what the calls about them share."""

    services: Services
    job: Job
    prompt: PromptVersion
    text: str
    plan: Plan

    def call(self, part: Part) -> PartCall:
        """The call about a part."""
        name = self.model_of(part)
        model = self.services.settings.models.get(name)
        previous = None
        if part.corrects is not None:
            previous = self.services.database.run(parts.rejected_reply, self.job, part.corrects)
        excerpt = Excerpt(passages=tuple(self.text[start:end] for start, end in part.shown))
        request = compose_part(self.job, self.prompt, model, PartShown(part=part, excerpt=excerpt), previous)
        estimate = counter_for(model.model).estimate_messages(request.messages)
        # What context counted is the whole's, and another model's.
        asker = self.job.but(model=name, context={"estimate": estimate})
        intent = intent_to_ask(
            self.prompt,
            model,
            request,
            reserved_usd=worst_case(asker, model, request),
            owner=self.services.owner,
            remedy="parts" if part.number > self.plan.first else None,
            part=part.number,
        )
        return PartCall(
            job=self.job,
            prompt=self.prompt,
            model=model,
            request=request,
            intent=intent,
            about=part,
            estimate=estimate,
        )

    def model_of(self, part: Part) -> str:
        """The job's model, or one further up the ladder where the part needs it."""
        ladder, present = self.prompt.config.ladder, ladder_model(self.job, self.prompt)
        at = ladder.index(present) if present in ladder else 0
        return present if part.rung <= at else ladder[min(part.rung, len(ladder) - 1)]

    def whole(self, calls: Sequence[PartCall]) -> PartCall:
        """The first call, as expensive as all together: what one of them does not get, none gets."""
        each = [call.intent.reserved_usd for call in calls]
        known = [usd for usd in each if usd is not None]
        allowed = self.services.settings.unpriced == "allow"
        needed = sum(known, Decimal(0)) if len(known) == len(each) or (allowed and known) else None
        asker = self.job.but(model=self.model_of(calls[0].about))
        return replace(calls[0], job=asker, intent=replace(calls[0].intent, reserved_usd=needed))

    def of_work(self, calls: Sequence[PartCall]) -> Asking:
        """The same with the key of the whole work in its job, which is made at the first calls."""
        if self.job.flight_key is not None:
            return self
        digest = hashlib.sha256(b"".join(call.intent.input_hash for call in calls)).digest()
        # Of what is still to be asked two documents may show the same; the answer is of the whole.
        document = str(self.job.document_id).encode()
        key = b"\0".join((b"parts", self.job.tenant.encode(), document, digest, calls[0].intent.content_hash))
        return replace(self, job=self.job.but(flight_key=hashlib.sha256(key).digest()))
