"""What needs somebody, in sentences, for whoever looks: the overview, `docmill doctor` and `/metrics`. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from db.budget_admin import Budget
from db.costs import plain_usd
from db.overview import MOST, Held, Snapshot

__all__ = ["KINDS", "NOTHING", "Concern", "Kind", "budget_name", "concerns", "span"]

Kind = Literal["workers", "upkeep", "model", "budget", "failed", "review", "rate"]
KINDS: tuple[Kind, ...] = ("workers", "upkeep", "model", "budget", "failed", "review", "rate")
"""The most pressing first."""
NOTHING = "Nothing needs you."


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Something that somebody has to decide, or to know."""

    kind: Kind
    jobs: int
    """How many wait for it, or were hit by it; 0 where it is not about jobs."""
    sentence: str
    link: str
    """Where it is seen, and dealt with."""
    passes: bool = False
    """It goes away by itself."""


def concerns(found: Snapshot) -> list[Concern]:
    """Returns what of it needs somebody, the most pressing first."""
    told = [
        *_workers(found),
        *_upkeep(found),
        *_models(found),
        *_budgets(found),
        *_failures(found),
        *_reviews(found),
        *_rates(found),
    ]
    return sorted(told, key=lambda each: (each.passes, KINDS.index(each.kind), -each.jobs))


def _workers(found: Snapshot) -> Iterator[Concern]:
    missing = [queue for queue in ("io", "cpu", "quarantine") if queue not in found.workers]
    waiting = found.unsent + sum(found.under_way.values())
    if missing:
        told = f"no {' and no '.join(missing)} worker was seen for 30 s; {_jobs(waiting)} on the way"
        yield Concern(kind="workers", jobs=waiting, sentence=told, link="/jobs?state=queued")


def _upkeep(found: Snapshot) -> Iterator[Concern]:
    for trouble in found.troubles:
        yield Concern(kind="upkeep", jobs=0, sentence=str(trouble), link="/", passes=not trouble.breaks)


def _models(found: Snapshot) -> Iterator[Concern]:
    held = {each.held_for: each.jobs for each in found.held if each.held_for.startswith("hold:")}
    for model in found.models:
        jobs = held.get(f"hold:{model.account}/{model.model}", 0)
        told = f"{model.model} of account {model.account} is held: {model.cause}"
        waiting = f"; {_jobs(jobs)} wait" if jobs else ""
        passes = model.cause not in ("auth", "quota_exhausted")
        link = "/jobs?" + urlencode({"state": "held"})
        yield Concern(kind="model", jobs=jobs, sentence=told + waiting, link=link, passes=passes)


def _budgets(found: Snapshot) -> Iterator[Concern]:
    budgets = {budget.id: budget for budget in found.budgets}
    for held in found.held:
        if held.wait == "budget":
            told = f"{_jobs(held.jobs)} {_are(held.jobs)} held: {_spent(budgets.get(held.budget_id or 0))}"
            yield Concern(kind="budget", jobs=held.jobs, sentence=told, link="/jobs?state=held")


def _spent(budget: Budget | None) -> str:
    if budget is None:
        return "a budget has no room"
    whose = budget_name(budget)
    return f"budget {whose} has spent {plain_usd(budget.spent_usd)} of {plain_usd(budget.cap_usd)} USD"


def budget_name(budget: Budget) -> str:
    """As people call it."""
    return f"“{budget.subject or budget.scope}, {budget.span}”"


def _failures(found: Snapshot) -> Iterator[Concern]:
    kinds: Counter[str] = Counter()
    for failed in found.failures:
        kinds[failed.kind] += failed.jobs
    for kind, jobs in kinds.items():
        link = "/jobs?" + urlencode({"state": "failed", **({"cause": kind} if kind else {})})
        told = f"{_jobs(jobs)} failed in the last hour: {kind or 'nobody noted of what'}"
        yield Concern(kind="failed", jobs=jobs, sentence=told, link=link)


def _reviews(found: Snapshot) -> Iterator[Concern]:
    if found.reviews and found.review_since is not None:
        waits = span((found.at - found.review_since).total_seconds())
        told = f"{_jobs(found.reviews)} {_are(found.reviews)} in review, the oldest since {waits}"
        yield Concern(kind="review", jobs=found.reviews, sentence=told, link="/review")


def _rates(found: Snapshot) -> Iterator[Concern]:
    for held in found.held:
        if held.wait == "rate" and not held.held_for.startswith("hold:"):
            yield Concern(
                kind="rate",
                jobs=held.jobs,
                sentence=f"{_jobs(held.jobs)} {_wait(held)} for the limits of {held.held_for or 'a model'}",
                link="/jobs?state=held",
                passes=True,
            )


def _wait(held: Held) -> str:
    return "waits" if held.jobs == 1 else "wait"


def _are(jobs: int) -> str:
    return "is" if jobs == 1 else "are"


def _jobs(number: int) -> str:
    return f"{number:,}{'+' if number >= MOST else ''} job{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A time that passed, as people say it."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
