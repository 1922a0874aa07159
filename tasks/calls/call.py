"""A call about to be made, with all that belongs to it, and the key of the work that it does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from db.jobs import Job
from db.ledger import Intent
from db.model_state import ModelState
from docmill.llm.limits import Limits
from docmill.llm.types import Request
from docmill.settings import Model
from prompts import PromptVersion

__all__ = ["Call"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call about to be made: whose, of which model, what it asks, and its row in the ledger."""

    job: Job
    prompt: PromptVersion
    model: Model
    request: Request
    intent: Intent
    state: ModelState = field(default_factory=ModelState)
    budgets: Sequence[int] = ()
    """Where its worst case is reserved."""

    @property
    def work(self) -> bytes:
        """The key of the work, the same for the same question of a tenant: the flight's, and the cache's.

        That of the first call is kept through all that follow, other models' included. It covers the messages with
        document and passages, the model, the sampling, the schema and the checks.
        """
        if self.job.flight_key is not None:
            return bytes(self.job.flight_key)
        parts = (self.job.tenant.encode(), self.intent.input_hash, self.intent.content_hash)
        return hashlib.sha256(b"\0".join(parts)).digest()

    @property
    def bytes_shown(self) -> int:
        """Of the pictures that are part of it."""
        return sum(picture.size for picture in self.request.pictures)

    @property
    def may_share(self) -> bool:
        """Whether an answer to the same work will do that somebody else got."""
        return self.job.purpose == "first" and not self.job.fresh

    @property
    def limits(self) -> Limits:
        """As docmill.toml knows them."""
        return self.model.limits

    @property
    def part(self) -> int:
        """Of the document; 0 is the whole."""
        return self.intent.part

    @property
    def tokens(self) -> int:
        """What the call is counted as until its answer tells: providers charge the output limit at once."""
        return int((self.job.context or {}).get("tokens", 0)) + self.request.max_output_tokens
