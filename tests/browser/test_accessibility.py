"""Every page under axe: on a desk and on a telephone, by day and by night, with script and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, ViewportSize
from sqlalchemy import Engine

from db.engine import make_engine
from tests.browser.ledger import Ledger, seed
from tests.browser.serving import serving
from tests.integration.conftest import another_database, owner, servers
from tests.integration.test_pages import HOSTILE
from workers.stack.servers import EmbeddedServers

__all__ = ["owner", "servers"]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
LOOK = """async all => {
  const rules = all ? {} : {runOnly: {type: 'rule', values: ['color-contrast']}};
  const found = await axe.run(document, {resultTypes: ['violations'], ...rules});
  return found.violations.filter(each => ['serious', 'critical'].includes(each.impact))
    .map(each => [each.id, each.impact, each.nodes.slice(0, 3).map(node => node.html.slice(0, 300))]);
}"""
DESK: ViewportSize = {"width": 1280, "height": 900}
TELEPHONE: ViewportSize = {"width": 390, "height": 844}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAGES = {
    "overview": "/",
    "jobs": "/jobs?feature=legal",
    "failed jobs": "/jobs?state=failed",
    "acting": "/jobs/act?action=fresh&state=failed",
    "acted": "/jobs/act/done?action=fresh&made=3&not=2&refused=1&after=1&before=9",
    "job": "/jobs/{review}",
    "review": "/review",
    "desk": "/review/{review}",
    "runs": "/runs",
    "run": "/runs/{run}",
    "prompts": "/prompts",
    "prompt": "/prompts/receipt?old=v2&version=v3",
    "documents": "/documents",
    "document": "/documents/{document}",
    "collections": "/collections",
    "collection": "/collections/letters?q=tea",
    "schedules": "/schedules",
    "costs": "/costs",
    "month": "/forecast?scale=10",
    "budgets": "/budgets",
    "models": "/models",
    "search": "/search?q=1",
    "sign in": "/sign-in",
    "not there": "/nothing",
    "refused": "/jobs?colour=red",
}
WITH_SCRIPT = ("overview", "job", "desk", "run")
"""The others are the same with script and without."""


@pytest.fixture(scope="module")
def engine(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(another_database(servers, "accessible"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def ledger(engine: Engine) -> Ledger:
    return seed(engine, names=("a receipt.txt", *HOSTILE))


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[str]:
    with serving(engine) as address:
        yield address


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Iterator[dict[bool, Page]]:
    """One with script, one without: it gets none of the scripts, for with none at all axe would not run either."""
    made = {}
    for with_script in (True, False):
        made[with_script] = browser.new_context().new_page()
        made[with_script].set_default_timeout(30_000)
        made[with_script].on("dialog", lambda dialog: pytest.fail(f"a name has acted: {dialog.message}"))
    made[False].route("**/*.js", lambda route: route.abort())
    yield made
    for page in made.values():
        page.context.close()


@pytest.mark.parametrize(
    ("name", "with_script"), [*((name, False) for name in PAGES), *((name, True) for name in WITH_SCRIPT)]
)
def test_axe_finds_nothing_serious(
    windows: dict[bool, Page], api: str, ledger: Ledger, name: str, with_script: bool
) -> None:
    page = windows[with_script]
    where = {"review": ledger.reviews[0], "run": ledger.run, "document": ledger.document}
    page.goto(api + PAGES[name].format(**where))
    page.evaluate(AXE)
    for size in (DESK, TELEPHONE):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], (name, "scrolls sideways")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            # By day and by night colours alone are others.
            assert page.evaluate(LOOK, scheme == "light") == [], (name, size["width"], scheme)
