"""Flower during a run with rate limits: workers, the five stages, retries with their time, and no document."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlparse

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from db.stages import CHAINS, STAGES
from tests.stack import RunningStack

SECRET = "zanzibarquill"
PASSWORD = "kumquat-orchid"
LONG = " " * 65_536
"""What makes a document one of those for which a worker computes that stands by else."""
MINUTE_MS = 60_000


@pytest.fixture
def stack(start: Callable[..., RunningStack]) -> RunningStack:
    """More documents than the provider takes in a minute, and the fleet knows it already; the first one is long."""
    running = start("--requests-per-minute", "60", DOCMILL_FLOWER_PASSWORD=PASSWORD)
    texts = [f"{SECRET} TEA\nDate: 2021-03-04\nTOTAL {number}.10\n" for number in range(25)]
    running.submit([texts[0] + LONG, *texts[1:]], "receipt")
    return running


@pytest.fixture
def flower(stack: RunningStack) -> str:
    address: str = json.loads((stack.data / "ready.json").read_text())["flower"]
    return address


@pytest.fixture
def page(browser: Browser, flower: str) -> Iterator[Page]:
    context = browser.new_context(
        http_credentials={"username": "docmill", "password": PASSWORD}, viewport={"width": 1400, "height": 900}
    )
    opened = context.new_page()
    asked: set[str] = set()
    opened.on("request", lambda request: asked.add(urlparse(request.url).netloc))
    yield opened
    context.close()
    assert asked <= {urlparse(flower).netloc, ""}, "a page asks for something beyond this machine"


def test_a_run_with_rate_limits(stack: RunningStack, flower: str, page: Page, tmp_path: Path) -> None:
    page.set_default_timeout(MINUTE_MS)
    seen = []

    page.goto(f"{flower}/workers")
    for worker in ("io-1-", "cpu-1-"):
        expect(page.locator("#workers-table, table").get_by_text(worker).first).to_be_visible(timeout=MINUTE_MS)
    seen.append(page.content())

    stack.until(lambda: stack.states().get("done", 0) > 0, 60)
    for stage in (each for each in CHAINS["document"] if not STAGES[each].on_demand):
        page.goto(f"{flower}/tasks?name=docmill.{stage}")
        expect(page.get_by_role("link", name=f"docmill.{stage}").first).to_be_visible(timeout=MINUTE_MS)
    seen.append(page.content())

    stack.until(lambda: bool(stack.query("select 1 from jobs where wait = 'countdown' limit 1")), 60)
    page.goto(f"{flower}/tasks?name=docmill.complete")
    # Between its retry and the time that it is due a task is told of as RETRY, or as RECEIVED again.
    row = page.locator("tbody tr").filter(has_text=re.compile("RETRY|RECEIVED")).filter(has_text="+00:00").first
    expect(row).to_be_visible(timeout=MINUTE_MS)
    page.screenshot(path=tmp_path / "retries.png")
    seen.append(page.content())
    row.locator("a[href*='/task/']").click()
    page.wait_for_url("**/task/*")
    expect(page.locator("body")).to_contain_text("Retries")
    expect(page.locator("body")).to_contain_text("+00:00")
    page.screenshot(path=tmp_path / "retry.png", full_page=True)
    seen.append(page.content())

    assert not [content for content in seen if SECRET in content]

    api = httpx.Client(base_url=flower, auth=("docmill", PASSWORD), timeout=30)
    told = api.get("/api/tasks", params={"limit": 1000}).text
    assert SECRET not in told
    assert "docmill.complete" in told
    assert len(api.get("/api/workers", params={"refresh": True}).json()) == 2  # the others stand by
    for auth in (None, ("docmill", "guessed")):
        assert httpx.get(f"{flower}/api/workers", auth=auth).status_code == 401
        assert httpx.get(f"{flower}/tasks", auth=auth).status_code == 401
    api.close()
