"""Every page's routes, in the order in which they are looked up."""

from __future__ import annotations

from fastapi import APIRouter

from web.pages import (
    bulk,
    collections,
    costs,
    documents,
    forecast,
    jobs,
    models,
    overview,
    prompts,
    review,
    runs,
    schedules,
    search,
    sign_in,
)

__all__ = ["PAGES"]

PAGES: tuple[APIRouter, ...] = tuple(
    page.router
    for page in (
        overview, search, bulk, jobs, review, runs, prompts, documents, collections, schedules,
        costs, forecast, models, sign_in,
    )
)  # fmt: skip
