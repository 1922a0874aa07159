"""The page of costs over a ledger whose figures are known, on a desk and on a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Connection, Engine, text

from tests.browser.serving import serving
from tests.integration.conftest import engine, owner, servers

__all__ = ["engine", "owner", "servers"]

HOSTILE = "<script>alert(1)</script> & 'quoted' " + "x" * 60
NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
LEDGER = (  # feature, user, days ago, USD
    ("billing", "u1", 0, Decimal(3)),
    ("billing", "u2", 0, Decimal(1)),
    ("billing", "u1", 2, Decimal(2)),
    ("contracts", "u1", 2, Decimal("1234.5678")),
    (HOSTILE, "", 2, Decimal("0.000021")),
    ("unpriced", "u2", 1, None),
)


@pytest.fixture
def api(engine: Engine, owner: Engine) -> Iterator[str]:
    with owner.begin() as connection:
        connection.execute(
            text("truncate calls, jobs, costs_daily, costs_without_users, costs_of_users, costs_changes cascade")
        )
    with engine.begin() as connection:
        for feature, user, days, usd in LEDGER:
            write(connection, feature, user, NOW - timedelta(days=days), usd)
    with serving(engine) as address:
        yield address


def write(connection: Connection, feature: str, user: str, at: datetime, usd: Decimal | None) -> None:
    values = {"id": uuid4(), "feature": feature, "user": user, "at": at, "usd": usd}
    connection.execute(
        text(
            "with job as (insert into jobs (tenant, feature, usr, prompt, state, stage, wait, created_at, finished_at)"
            " values ('default', :feature, :user, 'receipt', 'done', 'store', null, :at, :at) returning id)"
            " insert into calls (id, job_id, purpose, attempt, try, state, tenant, feature, usr, prompt, version,"
            " input_hash, provider, account, model, input_tokens, output_tokens, cost_usd, started_at, finished_at)"
            " select :id, id, 'first', 0, 0, 'answered', 'default', :feature, :user, 'receipt', 'v1', '', 'openai',"
            " 'default', 'sim-small', 400, 40, :usd, :at, :at from job"
        ),
        values,
    )


DESK, TELEPHONE = (1280, 900), (390, 844)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, api: str) -> Iterator[Page]:
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("response", lambda answer: complaints.append(answer.url) if answer.status >= 400 else None)
    opened.on("request", lambda asked: None if asked.url.startswith(api) else complaints.append(asked.url))
    opened.goto(f"{api}/costs")
    yield opened
    context.close()
    assert complaints == []


def amounts(page: Page, table: str) -> dict[str, str]:
    """The amounts of a table by the first column, to the last digit."""
    rows = page.locator(f"section[aria-labelledby='by-{table}'] tbody tr").all()
    return {row.locator("th a").inner_text(): told(row.locator("td").last.inner_html()) for row in rows}


def told(html: str) -> str:
    return html.partition('value="')[2].partition('"')[0] if 'value="' in html else "unknown"


@pytest.mark.parametrize("page", [DESK, TELEPHONE], ids=["desk", "telephone"], indirect=True)
def test_the_figures_are_those_of_the_ledger(page: Page, tmp_path: Path) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Costs")
    total = sum((usd for *_, usd in LEDGER if usd is not None), Decimal(0))
    assert Decimal(told(page.locator(".tiles .main").inner_html())) == total
    expect(page.locator(".tiles .main dd")).to_have_text("$1,240.57")
    found = {name: usd if usd == "unknown" else Decimal(usd) for name, usd in amounts(page, "feature").items()}
    assert found == {
        "contracts": Decimal("1234.5678"), "billing": 6, HOSTILE: Decimal("0.000021"), "unpriced": "unknown",
    }  # fmt: skip
    assert {name: Decimal(usd) for name, usd in amounts(page, "user").items()} == {
        "u1": Decimal("1239.5678"), "u2": 1, "no user": Decimal("0.000021"),
    }  # fmt: skip
    assert list(amounts(page, "day")) == ["2026-03-14", "2026-03-13", "2026-03-12"]
    expect(page.get_by_text("1 answer has an unknown price.")).to_be_visible()
    expect(page.get_by_text("rules, not a language model")).to_be_visible()
    page.screenshot(path=tmp_path / "costs.png", full_page=True)
    fits_the_window_and_names_its_parts(page)
    draws_each_column_as_high_as_its_cost(page)


def fits_the_window_and_names_its_parts(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    chart = page.get_by_role("group", name="Cost a day, stacked by feature: 3 days from 2026-03-12 to 2026-03-14")
    expect(chart).to_be_visible()
    size = chart.bounding_box()
    assert size is not None
    assert size["x"] >= 0
    assert size["x"] + size["width"] <= page.evaluate("window.innerWidth")
    for name in ("By feature 4", "By user 3", "By prompt 1", "By model 1", "By day 3", "Latest jobs"):
        expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()
        section = page.get_by_role("region", name=name, exact=True).first
        expect(section.get_by_role("columnheader").first).to_be_visible()


def draws_each_column_as_high_as_its_cost(page: Page) -> None:
    heights = [
        sum(float(part.evaluate("part => part.getBoundingClientRect().height")) for part in parts)
        for column in page.locator(".plot g").all()
        if (parts := column.locator("rect:not(.hit)").all()) is not None
    ]
    assert len(heights) == 3
    assert heights[1] == 0, "an unknown cost is no height"
    assert heights[2] / heights[0] == pytest.approx(4 / 1236.567821, rel=0.02)


@pytest.mark.parametrize("page", [DESK], ids=["desk"], indirect=True)
def test_one_filter_narrows_all_of_the_page(page: Page, api: str) -> None:
    jobs, total = page.locator("#jobs tbody tr"), page.locator(".tiles .main dd")
    chips = page.get_by_role("list", name="Narrowed to")
    expect(jobs).to_have_count(len(LEDGER))
    page.get_by_role("link", name="billing").click()
    expect(total).to_have_text("$6.00")
    expect(jobs).to_have_count(3)
    assert {name: Decimal(usd) for name, usd in amounts(page, "user").items()} == {"u1": 5, "u2": 1}
    page.locator("section[aria-labelledby='by-user']").get_by_role("link", name="u1").click()
    expect(total).to_have_text("$5.00")
    expect(jobs).to_have_count(2)
    page.locator("section[aria-labelledby='by-day']").get_by_role("link", name="2026-03-12").click()
    expect(total).to_have_text("$2.00")
    expect(chips.get_by_role("listitem")).to_have_count(4)
    page.get_by_role("link", name="Without feature billing").click()
    expect(total).to_have_text("$1,236.57")
    chips.get_by_role("link", name="all").click()
    expect(jobs).to_have_count(len(LEDGER))
    page.locator(".plot a").last.click()
    expect(total).to_have_text("$4.00")
    page.get_by_role("link", name="all", exact=True).click()
    page.locator("section[aria-labelledby='by-user']").get_by_role("link", name="no user").click()
    expect(jobs).to_have_count(1)
    number = jobs.first.get_by_role("link").inner_text()
    assert httpx.get(f"{api}/v1/jobs/{number}").json()["feature"] == HOSTILE
    jobs.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Job {number}")
    page.goto(f"{api}/costs?days=7")
    expect(page.get_by_text("No calls in the last 7 days yet.")).to_be_visible()
    expect(jobs).to_have_text(["No jobs here."])
