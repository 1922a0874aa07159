"""Keeping the views of answers as the released versions of prompts are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import structlog
from sqlalchemy import make_url

from db import answer_views
from db.answer_views import Answers
from db.database import Database
from docmill.errors import PromptError
from prompts import PromptVersion, Registry
from tasks.services import Services
from tasks.upkeep.troubles import Troubles

__all__ = ["AnswerViews", "released"]

log = structlog.get_logger()

LOOK_EVERY_S = 10.0
NOT_OWNER = "this role owns no tables, and makes no views of answers: give io workers DOCMILL_DATABASE_OWNER_URL"

Contents: TypeAlias = Mapping[str, bytes]
"""Hashes by prompt and version."""


def released(registry: Registry) -> Iterator[PromptVersion]:
    """Each version that is no draft, and loads: those that jobs get by a prompt's name alone, or got once."""
    for name in registry.names():
        for version in registry.versions(name):
            try:
                prompt = registry.get(name, version)
                if not prompt.config.draft:
                    _ = prompt.kept_schema
                    yield prompt
            except PromptError:
                continue  # told by readiness, and by doctor


@dataclass(kw_only=True)
class AnswerViews:
    """One process's look at its prompts' files; the views are the database's."""

    services: Services
    troubles: Troubles
    clock: Callable[[], float] = time.monotonic
    _made: Contents | None = field(default=None, init=False)
    _look_at: float = field(default=0.0, init=False)

    def look_after(self) -> None:
        """Makes the views of versions that are new, or have changed, as the owner of the tables."""
        owner = self.services.owner_database
        if owner is None or self.clock() < self._look_at:
            return
        self._look_at = self.clock() + LOOK_EVERY_S
        prompts = list(released(self.services.registry))
        contents = {str(prompt): prompt.content_hash for prompt in prompts}
        if contents != self._made and self._refresh(owner, prompts):
            self._made = contents

    def _refresh(self, owner: Database, prompts: list[PromptVersion]) -> bool:
        """False where somebody may have to do something, so that it is tried again."""
        wanted = [Answers(prompt=each.name, version=each.version, schema=each.kept_schema) for each in prompts]
        with owner.work() as connection:
            if not answer_views.may_make(connection):
                self.troubles.remark("views", NOT_OWNER)
                return False
            reader = make_url(self.services.settings.need("database_url")).username
            found = answer_views.refresh(connection, wanted, readers=[reader] if reader else [])
        for key in found.made:
            log.info("answer_views_made", prompt=key)
        told = "; ".join(f"of {key}: {why}" for key, why in found.refused.items())
        self.troubles.remark("views", told or None)
        return not found.refused
