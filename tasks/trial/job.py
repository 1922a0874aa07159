"""A job that stands nowhere, on its way: what its stages would do, with nothing stored and nothing published."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from db.jobs import Document, Job
from docmill.errors import Failure
from docmill.llm.client import Outcome
from docmill.llm.types import Request
from docmill.llm.wire import learn
from docmill.settings import Model, Settings
from prompts import Excerpt, PromptVersion
from tasks.calls.pictures import drawn_in
from tasks.calls.request import compose
from tasks.calls.trying import ask_on_record, trial_call
from tasks.services import Caller, Services
from tasks.setbacks import Setback
from tasks.stages.window import ladder_model
from tasks.trial.calls import TriedCall, ask_off_record, told_of
from tasks.trial.view import OwnEyes, excerpt_shown, show

__all__ = ["TrialJob"]

LONGEST_WAIT_S = 30.0
"""For a limit or an outage; a job would be held for longer ones."""


@dataclass(kw_only=True)
class TrialJob:
    """A job that stands nowhere, on its way."""

    settings: Settings
    caller: Caller
    services: Services | None
    """Of a stack, where there is one: its limits and budgets hold, and its ledger has the calls."""
    eyes: OwnEyes
    prompt: PromptVersion
    document: Document
    job: Job
    learned: dict[str, Mapping[str, Any]]
    """By the model's name in the ladder: what a provider taught on the way."""
    previous: str | None = None

    def choose(self) -> Failure | None:
        """Chooses what the model is shown; returns a failure where not even the prompt fits.

        Raises PromptError, Unreadable.
        """
        shown = show(self.eyes, self.job, self.prompt, self.document, self.learned)
        if isinstance(shown, Failure):
            return shown
        self.job = shown
        return None

    @property
    def excerpt(self) -> Excerpt:
        return excerpt_shown(self.job, self.document)

    def call(self) -> tuple[Outcome, TriedCall]:
        """One call to the attempt's model. Raises Misconfigured."""
        name = ladder_model(self.job, self.prompt)
        model = self.settings.models.get(name)
        request = compose(self.job, self.prompt, model, self.excerpt, self.previous)
        outcome, cost_usd = self._ask(model, request, self.learned.get(name, {}))
        return outcome, told_of(self.job, name, request, outcome, cost_usd)

    def _ask(self, model: Model, request: Request, learned: Mapping[str, Any]) -> tuple[Outcome, Decimal | None]:
        """What came of it, and what it cost as far as that is known; on record where a stack is there."""
        shown = drawn_in(request, lambda each: self.eyes.draw(each.page, each.dots_an_inch))
        if self.services is not None:
            return ask_on_record(self.services, trial_call(self.job, self.prompt, model, shown, learned))
        deadline_s = self.settings.call_deadline_s
        return ask_off_record(self.caller, model, shown, learned=learned, deadline_s=deadline_s)

    def setback(self, failure: Failure, *, answered: bool, problems: tuple[str, ...] = ()) -> Setback:
        """The failure with its remedy, which the job's history has from here on."""
        setback = Setback.of(self, self.job, self.prompt, failure, answered=answered, problems=problems)
        self.job = self.job.but(history=[*self.job.history, setback.entry])
        return setback

    def follow(self, setback: Setback) -> Failure | None:
        """Takes the job where the remedy says; a failure where it ends there."""
        remedy = setback.remedy
        name = ladder_model(self.job, self.prompt)
        if remedy.repair is not None:
            self.learned[name] = learn(self.learned.get(name, {}), remedy.repair)
        if remedy.action in ("retry", "adapt") and remedy.countdown_s <= LONGEST_WAIT_S:
            time.sleep(remedy.countdown_s)
            return None
        if remedy.action in ("review", "fail", "hold", "retry", "adapt"):
            return Failure(kind=setback.failure.kind, message=_final(setback))
        self.job = self.job.but(attempt=self.job.attempt + 1, purpose=remedy.purpose, model=remedy.model)
        return self.choose() if remedy.action == "cut_context" else None


def _final(setback: Setback) -> str:
    remedy = setback.remedy
    waits = (
        f"a job would wait {remedy.hold_s or remedy.countdown_s:.0f} s: "
        if remedy.action in ("hold", "retry")
        else ""
    )
    return f"{waits}{remedy.reason}"
