"""A clerk at the review desk, with hands on the keyboard; and one without script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy import Engine, text

from db.engine import make_engine
from tests.browser.serving import serving
from tests.integration.conftest import another_database, owner, servers
from tests.integration.test_reviews import RIGHT, WRONG, in_review
from workers.stack.servers import EmbeddedServers

__all__ = ["owner", "servers"]

JOBS = 30
WITHIN_S = 300


@pytest.fixture(scope="module")
def engine(servers: EmbeddedServers) -> Iterator[Engine]:
    made = make_engine(another_database(servers, "desk"))
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[str]:
    with serving(engine) as address:
        yield address


@pytest.fixture
def jobs(engine: Engine) -> Iterator[list[int]]:
    """Answers of which every other one is wrong, and the small model had it right."""
    feature = uuid4().hex
    with engine.begin() as connection:
        made = [
            in_review(connection, WRONG, feature=feature, said=RIGHT if at % 2 else None) for at in range(JOBS)
        ]
    yield made
    with engine.begin() as connection:
        connection.execute(text("update jobs set state = 'done' where state = 'needs_review'"))


@pytest.fixture
def desks(browser: Browser, api: str) -> Iterator[Any]:
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def open_desk(**options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 860}, **options)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: None if "422" in message.text else complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        return page

    yield open_desk
    for context in opened:
        context.close()
    assert complaints == []


def number(page: Page) -> int:
    return int(page.url.partition("?")[0].rpartition("/")[2])


def decided(engine: Engine, jobs: list[int]) -> list[Any]:
    with engine.connect() as connection:
        return list(
            connection.execute(
                text(
                    "select j.id, j.state, v.decision, r.value, r.author, r.revision from jobs j"
                    " left join reviews v on v.job_id = j.id and v.decision is not null and v.undone_at is null"
                    " left join lateral (select * from results where job_id = j.id order by revision desc limit 1) r on true"
                    " where j.id = any(:ids) order by j.id"
                ),
                {"ids": jobs},
            )
        )


def test_a_clerk_decides_thirty_answers_by_keyboard_alone(
    desks: Any, api: str, engine: Engine, jobs: list[int], tmp_path: Path
) -> None:
    page = desks()
    page.goto(f"{api}/review")
    page.keyboard.press("Tab")
    page.get_by_role("link", name="Begin").focus()
    page.keyboard.press("Enter")
    began = time.monotonic()
    for at, job in enumerate(jobs):
        page.wait_for_url(f"**/review/{job}")
        current = page.locator(".field.current")
        expect(current).to_have_attribute("data-path", "total")
        if at == 0:
            page.screenshot(path=tmp_path / "desk.png")
            page.set_viewport_size({"width": 390, "height": 480})
            assert page.evaluate("document.documentElement.scrollHeight <= window.innerHeight")
            page.set_viewport_size({"width": 1280, "height": 900})
        if at % 2:
            page.keyboard.press("1")
            expect(page.locator(".field.doubted")).to_have_count(0)
        page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    took_s = time.monotonic() - began
    assert took_s < WITHIN_S
    expect(page.get_by_text("You decided 30 in the last twelve hours")).to_be_visible()
    found = decided(engine, jobs)
    assert [(each.state, each.decision, each.revision) for each in found] == [
        ("done", "correct" if at % 2 else "accept", 2) for at in range(JOBS)
    ]
    assert [each.value for each in found] == [RIGHT if at % 2 else WRONG for at in range(JOBS)]
    assert {each.author for each in found} == {"somebody at this machine"}


def test_two_browsers_have_two_answers_and_a_closed_one_gives_its_back(
    desks: Any, api: str, engine: Engine, jobs: list[int]
) -> None:
    first, second = desks(), desks()
    for page in (first, second):
        page.goto(f"{api}/review/next")
        expect(page.locator(".field.current")).to_be_visible()
    assert (number(first), number(second)) == (jobs[0], jobs[1])
    second.goto(f"{api}/review/{jobs[0]}")
    expect(second.get_by_text("Somebody else looks at this answer just now.")).to_be_visible()
    second.get_by_role("link", name="Take the next one").click()
    second.wait_for_url(f"**/review/{jobs[1]}")
    assert claimed(engine) == set(jobs[:2])
    first.close(run_before_unload=True)
    until(lambda: claimed(engine) == {jobs[1]})
    third = desks()
    third.goto(f"{api}/review/next")
    assert number(third) == jobs[0]


def test_a_browser_that_is_gone_with_all_its_tabs_keeps_an_answer_for_five_minutes(
    desks: Any, api: str, engine: Engine, jobs: list[int]
) -> None:
    page = desks(java_script_enabled=False)
    page.goto(f"{api}/review/next")
    page.close()
    with engine.begin() as connection:
        left = "select claimed_until - clock_timestamp() from reviews where job_id = :id and decision is null"
        kept: timedelta = connection.execute(text(left), {"id": jobs[0]}).scalar_one()
        assert timedelta(minutes=4) < kept <= timedelta(minutes=5)
        over = "update reviews set claimed_until = clock_timestamp() where job_id = :id"
        connection.execute(text(over), {"id": jobs[0]})
    after = desks()
    after.goto(f"{api}/review/next")
    assert number(after) == jobs[0]


def claimed(engine: Engine) -> set[int]:
    """The answers that a desk has."""
    open_claims = "select job_id from reviews where decision is null and claimed_until > clock_timestamp()"
    with engine.connect() as connection:
        return set(connection.execute(text(open_claims)).scalars())


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def test_fields_doubts_notes_and_taking_back(desks: Any, api: str, engine: Engine, jobs: list[int]) -> None:
    page = desks()
    page.goto(f"{api}/review/{jobs[0]}")
    current = page.locator(".field.current")
    page.keyboard.press("k")
    expect(current).to_have_attribute("data-path", "date")
    page.keyboard.press("n")
    expect(current).to_have_attribute("data-path", "total")
    page.keyboard.press("e")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("9.99")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("It was not saved")
    expect(page.locator("[name='value:total']")).to_have_value("9.99")
    page.keyboard.press("o")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{jobs[1]}")
    assert decided(engine, jobs[:1])[0].value == {**RIGHT, "total": 9.99}
    page.keyboard.press("u")
    page.wait_for_url(f"**/review/{jobs[0]}")
    assert decided(engine, jobs[:1])[0].state == "needs_review"
    page.keyboard.press("l")
    page.wait_for_url(f"**/review/{jobs[1]}")
    page.keyboard.press("x")
    page.wait_for_url(f"**/review/{jobs[0]}")
    assert decided(engine, jobs[1:2])[0].state == "failed"
    page.locator("pre").evaluate(
        "pre => { const text = pre.firstChild.firstChild; const at = text.data.indexOf('4.10');"
        " getSelection().setBaseAndExtent(text, at, text, at + 4); }"
    )
    page.keyboard.press("c")
    expect(page.locator("[name='value:total']")).to_have_value("4.10")
    expect(page.locator(".field.doubted")).to_have_count(0)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/review/{jobs[2]}")
    assert decided(engine, jobs[:1])[0].value == RIGHT


def test_the_desk_works_without_script(desks: Any, api: str, engine: Engine, jobs: list[int]) -> None:
    page = desks(java_script_enabled=False)
    page.goto(f"{api}/review/{jobs[0]}")
    page.get_by_label("total").fill("4.10")
    page.get_by_role("button", name="Save and next").click()
    page.wait_for_url(f"**/review/{jobs[1]}")
    assert decided(engine, jobs[:1])[0].value == RIGHT
    page.get_by_label("Note").fill("a menu")
    page.get_by_role("button", name="Reject").click()
    page.wait_for_url(f"**/review/{jobs[2]}")
    page.get_by_role("button", name="Undo last").click()
    page.wait_for_url(f"**/review/{jobs[1]}")
    assert decided(engine, jobs[1:2])[0].state == "needs_review"
