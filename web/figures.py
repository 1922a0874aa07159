"""Figures for Prometheus, read from Postgres, so that each replica tells the same of the whole fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

import db.figures
from db.concerns import KINDS, concerns
from db.figures import BOUNDS, Labels
from db.overview import Snapshot, snapshot, tenants
from db.statements import statements_of

__all__ = ["COUNTERS", "HISTOGRAMS", "figures"]

SQL = statements_of("figures")

COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "docmill_jobs_ended": (
        "Jobs that ended, and why they failed or are doubted",
        ("state", "prompt", "cause"),
    ),
    "docmill_calls": (
        "Requests to models, and answers that were known; none that is in doubt",
        ("model", "state", "failure"),
    ),
    "docmill_calls_unpriced": ("Answers whose cost is unknown", ("model",)),
    "docmill_tokens": ("As models counted them; cached ones are input, too", ("model", "kind")),
    "docmill_cost_usd": ("What answers cost, as far as it is known", ("model",)),
    "docmill_saved_usd": ("What known answers did not cost", ("layer",)),
    "docmill_cache_answers": ("Answers that were known", ("layer",)),
}
"""What they count, and their labels."""
HISTOGRAMS: Mapping[str, tuple[str, str]] = {
    "docmill_job_seconds": ("From a job's submit to its end", "prompt"),
    "docmill_call_seconds": ("Until a model answered", "model"),
    "docmill_stage_seconds": ("What a worker spent with a job's stage", "stage"),
}
NONE_YET: Mapping[str, Mapping[Labels, float]] = {
    "docmill_jobs_ended": {(state, "", ""): 0.0 for state in ("done", "needs_review", "failed", "cancelled")},
    "docmill_calls_unpriced": {("",): 0.0},
}
"""Told before anything was counted: what is not there has no increase, and no alert asks after it."""
MOST_BUDGETS = 200


@dataclass(frozen=True, kw_only=True, eq=False)
class Grown(Collector):
    """What only grows, as it was counted."""

    totals: Mapping[str, Mapping[Labels, float]]

    def collect(self) -> Iterator[Metric]:
        for name, (told, labels) in COUNTERS.items():
            counter = CounterMetricFamily(name, told, labels=labels)
            for values, value in {**NONE_YET.get(name, {}), **self.totals.get(name, {})}.items():
                counter.add_metric(values, value)
            yield counter
        for name, (told, label) in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, told, labels=[label])
            for value_of_label, buckets, total in self._histogram(name):
                histogram.add_metric([value_of_label], buckets, total)
            yield histogram

    def _histogram(self, name: str) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Each label's cumulated buckets, and its sum."""
        numbers: dict[str, list[float]] = {}
        for (label, bucket), number in self.totals.get(name, {}).items():
            numbers.setdefault(label, [0.0] * (len(BOUNDS) + 1))[int(bucket)] += number
        sums = {labels[0]: total for labels, total in self.totals.get(f"{name}_sum", {}).items()}
        ends = [*map(str, BOUNDS), "+Inf"]
        for label, each in numbers.items():
            yield label, list(zip(ends, accumulate(each), strict=True)), sums.get(label, 0.0)


def figures(connection: Connection) -> bytes:
    """As Prometheus reads them."""
    registry = CollectorRegistry()
    waiting = Gauge("docmill_jobs_open", "Jobs that have not ended", ["stage", "wait"], registry=registry)
    slots = Gauge("docmill_worker_slots", "Slots of workers seen lately", ["queue"], registry=registry)
    doubtful = Gauge(
        "docmill_calls_in_doubt",
        "Calls of unknown outcome, in no other figure until they are answered",
        registry=registry,
    )
    told = Gauge("docmill_webhook_deliveries", "Waiting, or given up in 30 days", ["state"], registry=registry)
    for row in (*SQL["unsent"].rows(connection), *SQL["under_way"].rows(connection)):
        waiting.labels(row.stage, row.wait).set(row.jobs)
    for row in SQL["slots"].rows(connection):
        slots.labels(row.queue).set(row.slots)
    doubtful.set(SQL["in_doubt"].scalar(connection))
    for state, deliveries in db.figures.deliveries(connection):
        told.labels(state).set(deliveries)
    found = snapshot(connection, tenants(connection), paced=False)
    _tell_concerns(found, registry)
    _tell_budgets(found, registry)
    registry.register(Grown(totals=db.figures.totals(connection)))
    return generate_latest(registry)


def _tell_concerns(found: Snapshot, registry: CollectorRegistry) -> None:
    """What needs somebody, as the overview says it; a kind without any is 0, so that alerts resolve."""
    told = Gauge("docmill_concerns", "What needs somebody, by kind", ["kind"], registry=registry)
    jobs = Gauge("docmill_concern_jobs", "Jobs that wait for somebody, or failed", ["kind"], registry=registry)
    review = Gauge(
        "docmill_review_age_seconds", "Since when the oldest answer waits for a person", registry=registry
    )
    oldest = Gauge("docmill_oldest_open_seconds", "Since when the oldest job is open", registry=registry)
    for kind in KINDS:
        told.labels(kind).set(0)
        jobs.labels(kind).set(0)
    for each in concerns(found):
        told.labels(each.kind).inc()
        jobs.labels(each.kind).inc(each.jobs)
    for gauge, since in ((review, found.review_since), (oldest, found.oldest)):
        gauge.set(0 if since is None else (found.at - since).total_seconds())


def _tell_budgets(found: Snapshot, registry: CollectorRegistry) -> None:
    """Of their present windows, the fullest first where there are many; whose they are, their number says."""
    labels = ("budget", "scope", "span")
    cap = Gauge("docmill_budget_cap_usd", "Of each budget", labels, registry=registry)
    used = Gauge("docmill_budget_used_usd", "Spent, or reserved for open calls", labels, registry=registry)
    by_share = sorted(found.budgets, key=lambda each: each.cap_usd - each.spent_usd - each.reserved_usd)
    for each in by_share[:MOST_BUDGETS]:
        cap.labels(each.id, each.scope, each.span).set(float(each.cap_usd))
        used.labels(each.id, each.scope, each.span).set(float(each.spent_usd + each.reserved_usd))
