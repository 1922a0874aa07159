"""Nouns with commands of their own."""

from __future__ import annotations

from cli.budgets import budgets
from cli.collections import collections
from cli.jobs import jobs
from cli.keys import keys
from cli.models import cache, models
from cli.prompts import prompts
from cli.reviews import reviews
from cli.runs import runs
from cli.schedules import schedules
from cli.webhooks import webhooks

__all__ = ["GROUPS"]

GROUPS = {
    "jobs": jobs,
    "runs": runs,
    "collections": collections,
    "budgets": budgets,
    "prompts": prompts,
    "reviews": reviews,
    "schedules": schedules,
    "keys": keys,
    "webhooks": webhooks,
    "models": models,
    "cache": cache,
}
