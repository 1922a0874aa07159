"""Calls about to be made for vectors: of a job's texts, or of a question's words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from db import ledger
from db.chunks import digest
from db.jobs import Job
from db.model_state import ModelState
from docmill.llm.limits import Limits
from docmill.llm.tokens import counter_for
from docmill.retrieval.embedding import batch
from docmill.settings import Model
from tasks.calls.embedding.asking import worst_case
from tasks.calls.intents import intent_about, last_remedy
from tasks.services import Services

__all__ = ["Asker", "EmbeddingCall", "QuestionCall"]


@dataclass(frozen=True, kw_only=True)
class EmbeddingCall:
    """A call about to be made for the vectors of some texts."""

    job: Job
    model: Model
    state: ModelState
    texts: Mapping[bytes, str]
    """By their sha256."""
    tokens: int
    intent: ledger.Intent
    part: int = 0

    @property
    def limits(self) -> Limits:
        return self.model.limits

    @classmethod
    def for_some(
        cls, services: Services, job: Job, model: Model, state: ModelState, missing: Mapping[bytes, str]
    ) -> EmbeddingCall:
        """The call for as many of the texts as it may hold."""
        counter = counter_for(model.model, state.learned)
        counts = [counter.count(text) for text in missing.values()]
        size = batch(counts)
        texts = dict(list(missing.items())[:size])
        tokens = sum(counts[:size])
        hashed = hashlib.sha256(b"\0".join((model.model.encode(), *sorted(texts)))).digest()
        usd = worst_case(model, texts.values())
        intent = intent_about(model, hashed, reserved_usd=usd, owner=services.owner, remedy=last_remedy(job))
        return cls(job=job, model=model, state=state, texts=texts, tokens=tokens, intent=intent)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Who asks, for the ledger, the budgets and the provider's limits."""

    tenant: str = "default"
    feature: str = "default"
    usr: str = ""
    id: str = field(default_factory=lambda: str(uuid4()))
    lane: str = "interactive"
    prompt: str | None = None
    """None: a question by itself is no prompt's."""
    attempt: int = 0
    history: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class QuestionCall:
    """A call about to be made for the vector of a question."""

    job: Asker
    model: Model
    words: str
    tokens: int
    intent: ledger.Intent
    part: int = 0

    @property
    def limits(self) -> Limits:
        return self.model.limits

    @classmethod
    def about(cls, model: Model, state: ModelState, words: str, asker: Asker) -> QuestionCall:
        """The call for the words' vector."""
        hashed = hashlib.sha256(b"\0".join((model.model.encode(), digest(words, asker.tenant)))).digest()
        intent = intent_about(model, hashed, reserved_usd=worst_case(model, [words]))
        tokens = counter_for(model.model, state.learned).count(words)
        return cls(job=asker, model=model, words=words, tokens=tokens, intent=intent)
