"""What all pages share: the layout, its headers, and how figures are written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from db.budget_admin import Budget
from db.concerns import budget_name, span

__all__ = ["budget_bar", "render", "templates", "usd", "wants_page"]

NAVIGATION = (
    ("/", "Overview"),
    ("/jobs", "Jobs"),
    ("/review", "Review"),
    ("/runs", "Runs"),
    ("/prompts", "Prompts"),
    ("/documents", "Documents"),
    ("/collections", "Collections"),
    ("/schedules", "Schedules"),
    ("/costs", "Costs"),
    ("/budgets", "Budgets"),
    ("/models", "Models"),
)
"""Addresses and words of the header."""
APART = ("/v1/", "/metrics", "/healthz", "/readyz", "/openapi.json", "/static/")
"""Addresses that are no pages, whoever asks."""

# A page runs no script but docmill's own, and fetches nothing from elsewhere: names of documents are other
# people's words. Without `same-origin` a browser would not say from where a form is sent.
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "vary": "Accept, Cookie",
}

templates = Jinja2Templates(
    env=jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1] / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
)


def wants_page(request: Request) -> bool:
    """Returns whether a browser asks, for what a person reads."""
    return not request.url.path.startswith(APART) and "text/html" in request.headers.get("accept", "")


def render(
    request: Request,
    template: str,
    content: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Renders a page in the layout. ``content`` is what its template names."""
    shared = {"caller": getattr(request.state, "caller", None), "navigation": NAVIGATION, "path": request.url.path}
    return templates.TemplateResponse(
        request,
        template,
        {**shared, **(content or {})},
        status_code=status,
        headers={**HEADERS, **(headers or {})},
    )


def usd(amount: Decimal | float | None) -> str:
    """An amount as people read it: more digits where it is small, and unknown where it is not known."""
    if amount is None:
        return "unknown"
    if not amount:
        return "$0"
    if amount >= 1:
        return f"${amount:,.2f}"
    # Four digits that say something; the exact amount stands beside it, for whoever wants it.
    return f"${Decimal(f'{amount:.4g}').normalize():f}"


def round_usd(amount: float) -> str:
    """An amount at a line of the grid, which is round, in few letters."""
    if amount >= 1_000_000:
        return f"{round_usd(amount / 1_000_000)} M"
    return f"${amount:,.10f}".rstrip("0").rstrip(".")


def ago(at: datetime) -> str:
    """Returns how long ago, or how soon, as people say it."""
    seconds = (datetime.now(UTC) - at).total_seconds()
    return f"{span(seconds)} ago" if seconds >= 0 else f"in {span(-seconds)}"


GLYPHS = {
    "done": "✓",
    "failed": "✗",
    "needs_review": "⚑",
    "held": "‖",
    "queued": "…",
    "running": "▸",
    "cancelled": "–",
}
"""Beside a state's word, for those who do not see its colour."""


def budget_bar(budget: Budget) -> dict[str, object]:
    """A budget in three parts: spent, reserved, left; shares of its cap, or of what is taken, if more."""
    taken = budget.spent_usd + budget.reserved_usd
    whole = max(budget.cap_usd, taken) or Decimal(1)
    return {
        "budget": budget,
        "name": budget_name(budget),
        "spent": round(float(100 * budget.spent_usd / whole), 2),
        "reserved": round(float(100 * budget.reserved_usd / whole), 2),
        "full": taken >= budget.cap_usd,
    }


def part_of(failure: object, name: str) -> str:
    """The failure's kind or message, of a row that may hold anything."""
    found = failure.get(name) if isinstance(failure, Mapping) else None
    return found if isinstance(found, str) else ""


FILTERS: dict[str, Callable[..., str]] = {
    "ago": ago,
    "glyph": lambda state: GLYPHS.get(state, ""),
    "part": part_of,
    "percent": lambda share: f"{share:.3g} %",
    "plain": "{:f}".format,
    "round_usd": round_usd,
    "tojson_plain": lambda value: json.dumps(value, ensure_ascii=False),
    "thousands": "{:,}".format,
    "usd": usd,
}
templates.env.filters |= FILTERS
