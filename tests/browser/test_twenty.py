"""What four people look for, five things each, on a stack that runs: every one found without SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from db import budget_admin
from db.budget_admin import Wanted
from tests.browser.ledger import CHECK, Ledger, seed, wait_longest
from tests.command import Command, docmill
from tests.stack import RunningStack, receipts, starting
from workers.stack.places import scratch

__all__ = ["docmill"]

SECRET = f"HARBOUR CAFE {uuid4().hex[:6]}"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with scratch("twenty") as data, starting(data) as start:
        running: RunningStack = start()
        with running.engine.begin() as connection:
            wanted = Wanted(scope="feature", subject="archive", span="total", policy="hold", cap_usd=Decimal(0))
            budget_admin.put(connection, wanted, timezone="UTC")
        running.submit([*receipts(3), f"{SECRET}\nDate: 2021-03-04\nTOTAL 4.10"], "receipt", feature="till")
        running.submit(["nothing that a till would print"], "receipt", feature="odd")
        running.submit(receipts(5)[3:], "receipt", feature="archive")
        running.until(lambda: running.states().get("held") == 2 and sum(running.states().values()) == 7, 60)
        running.until(lambda: not running.query("select 1 from jobs where wait <> 'budget' limit 1"), 60)
        yield running


@pytest.fixture(scope="module")
def ledger(stack: RunningStack) -> Ledger:
    return seed(stack.engine)


@pytest.fixture(scope="module")
def api(stack: RunningStack, ledger: Ledger) -> str:
    address: str = json.loads((stack.data / "ready.json").read_text())["api"]
    return address


@pytest.fixture
def waiting(stack: RunningStack, ledger: Ledger) -> list[int]:
    """Answers that wait for a person, the oldest first: older and dearer than all others, and decided by no test."""
    return wait_longest(stack.engine, ledger)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    yield opened
    context.close()


def tile(page: Page, words: str) -> Locator:
    return page.locator(".tiles > div").filter(has=page.get_by_text(words, exact=True))


def number(told: str) -> float:
    found = re.search(r"[\d,.]*\d", told)
    assert found is not None, told
    return float(found[0].replace(",", ""))


def decide(page: Page, api: str, job: int, decision: str) -> None:
    page.goto(f"{api}/review/{job}")
    if decision == "correct":
        page.locator("[name='value:total']").fill("4.10")
    page.get_by_role("button", name="Reject" if decision == "reject" else "Save and next").click()
    expect(page).not_to_have_url(f"{api}/review/{job}")


def section(page: Page, heading: str) -> Locator:
    return page.locator("section").filter(has=page.get_by_role("heading", name=heading))


# --- whoever is on call ---


def test_on_call_whether_it_works_now(page: Page, api: str) -> None:
    page.goto(api)
    assert number(tile(page, "Came in, an hour").locator("dd").first.inner_text()) >= 7
    assert number(tile(page, "Done, an hour").locator("dd").first.inner_text()) >= 4
    expect(tile(page, "Failed, an hour").locator("dd").first).to_contain_text("%")
    expect(tile(page, "Open for longest").locator("time")).to_be_visible()
    expect(section(page, "Where jobs are")).to_contain_text("1 io with")


def test_on_call_what_is_held_for_what_and_until_when(page: Page, api: str) -> None:
    page.goto(api)
    concern = page.get_by_role("listitem").filter(has_text="2 jobs are held: budget “archive, total”")
    concern.get_by_role("link").click()
    rows = page.locator("table.cards tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("budget")
    expect(rows.first).to_contain_text("0 USD in total for feature archive")
    rows.first.get_by_role("link").first.click()
    expect(page.locator("#head")).to_contain_text("looked at again")


def test_on_call_why_this_failed_and_what_was_said(page: Page, api: str, stack: RunningStack) -> None:
    page.goto(f"{api}/jobs?feature=odd")
    page.locator("table.cards tbody tr").get_by_role("link").first.click()
    expect(page.locator("#head")).to_contain_text("the simulator's rules find no value for date, total")
    expect(section(page, "Checks and remedies").locator("li").first).to_contain_text("no_rule small → fail")
    said = section(page, "What the models saw and said").locator("details").first
    said.locator("summary").click()
    expect(said.get_by_label("Message of system")).to_contain_text("You read till receipts.")
    expect(said.get_by_label("Message of user")).to_contain_text("nothing that a till would print")
    expect(said).to_contain_text("HTTP 422")


def test_on_call_retries_all_of_one_cause(page: Page, api: str, ledger: Ledger, stack: RunningStack) -> None:
    page.goto(api)
    section(page, "Failures of the last hour").get_by_role("link", name="unreadable").click()
    page.locator(".bulk a", has_text="Retry").click()
    expect(page.get_by_text(re.compile(r"3 jobs: 3 cost about 0\.\d+ USD\."))).to_be_visible()
    page.get_by_role("button", name="Retry: 3 jobs").click()
    expect(page.get_by_role("heading", name="3 jobs on the way again")).to_be_visible()
    moved = "select 1 from jobs where id = any(:ids) and epoch = 0 limit 1"
    stack.until(lambda: not stack.query(moved, ids=ledger.failed), 60)


def test_on_call_stops_a_prompt_and_a_model(page: Page, api: str, stack: RunningStack) -> None:
    page.goto(f"{api}/prompts/summary")
    page.get_by_role("link", name="Stop…").click()
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.get_by_role("heading", name="prompt summary, total")).to_be_visible()
    stack.submit(["A letter about the harbour."], "summary", feature="letters")
    held = "select 1 from jobs where id = :id and wait = 'budget'"
    stack.until(lambda: bool(stack.query(held, id=stack.jobs[-1])), 60)
    page.get_by_role("button", name="Remove “summary, total”").click()
    stack.until(
        lambda: not stack.query("select 1 from jobs where id = :id and wait is not null", id=stack.jobs[-1]), 60
    )
    page.goto(f"{api}/models")
    small = section(page, "small")
    small.get_by_role("button", name="Hold for an hour").click()
    expect(small).to_contain_text("held by an operator")
    small.get_by_role("button", name="Release").click()
    expect(small).to_contain_text("may be asked")


# --- the product's owner ---


def test_owner_what_was_spent_today_and_this_month_against_the_cap(page: Page, api: str) -> None:
    page.goto(api)
    page.get_by_role("link", name="This month").click()
    today, month = (number(tile(page, words).inner_text().partition("$")[2]) for words in ("Today", "So far"))
    assert 0 < today <= month
    caps = section(page, "Against the caps").locator(".budget")
    expect(caps.filter(has_text="“default, month”")).to_contain_text("of $0.5")
    expect(caps.filter(has_text="“default, day”")).to_contain_text("of $0.1")


def test_owner_what_an_accepted_document_costs(page: Page, api: str) -> None:
    page.goto(f"{api}/costs")
    for table, name in (("prompt", "receipt"), ("feature", "legal")):
        row = page.locator(f"section[aria-labelledby='by-{table}'] tbody tr").filter(has_text=name)
        each, cost = (Decimal(str(row.locator("data").nth(at).get_attribute("value"))) for at in (0, 1))
        assert 0 < each <= cost


def test_owner_where_the_month_will_end(page: Page, api: str) -> None:
    page.goto(f"{api}/forecast")
    half, most = (number(tile(page, words).locator("dd").first.inner_text()) for words in (
        "Will end at, half of the times", "Will end at most at, 95 times in a hundred"))  # fmt: skip
    assert 0 < half <= most
    expect(page.get_by_role("img", name=re.compile("Spent .* at the end .*; the cap is"))).to_be_visible()
    page.get_by_label("Times as many").fill("10")
    page.get_by_role("button", name="Forecast").click()
    expect(section(page, "What if")).to_contain_text("× 10 scale")


def test_owner_why_yesterday_was_dear(page: Page, api: str) -> None:
    page.goto(f"{api}/costs")
    page.get_by_role("link", name="Yesterday").click()
    for table in ("remedy", "model", "prompt", "feature", "version"):
        expect(page.locator(f"section[aria-labelledby='by-{table}'] tbody tr").first).to_be_visible()
    expect(page.get_by_role("list", name="Narrowed to")).to_contain_text("day")


def test_owner_how_many_need_a_person_and_whether_it_gets_better(page: Page, api: str, waiting: list[int]) -> None:
    page.goto(f"{api}/review")
    assert number(page.get_by_text(re.compile("answers? waits? for a person")).inner_text()) >= 4
    page.goto(f"{api}/prompts/receipt")
    trend = section(page, "To a person, day by day")
    expect(trend).to_contain_text(re.compile(r"% on the first of \d+ days, [\d.]+ % on the last"))
    assert trend.locator("tbody tr").count() > 5


# --- the clerk ---


def test_clerk_the_queue_oldest_and_dearest_first(page: Page, api: str, waiting: list[int]) -> None:
    page.goto(f"{api}/review")
    first = page.locator("section[aria-label='Answers that wait'] tbody tr").first
    expect(first.get_by_role("link").first).to_have_text(str(waiting[0]))
    page.get_by_role("link", name="dearest first").click()
    expect(first.get_by_role("link").first).to_have_text(str(waiting[-1]))
    page.get_by_role("link", name="Begin").click()
    page.wait_for_url(f"**/review/{waiting[-1]}?order=dearest")


def test_clerk_the_document_beside_its_fields_with_the_doubtful_one_marked(
    page: Page, api: str, waiting: list[int]
) -> None:
    page.goto(f"{api}/review/{waiting[0]}")
    expect(page.locator(".paper pre")).to_contain_text("TOTAL 4.10")
    expect(page.locator(".field.doubted")).to_have_count(1)
    expect(page.locator(".field.doubted.current")).to_have_attribute("data-path", "total")


def test_clerk_why_it_is_doubtful_in_plain_words(page: Page, api: str, waiting: list[int]) -> None:
    page.goto(f"{api}/review/{waiting[0]}")
    told = page.locator(".field.doubted .doubt")
    expect(told).to_have_text("does not occur in the document: copy the value from it, word for word")
    expect(page.locator(".field.doubted .said")).to_contain_text("sim-small: 4.1")


def test_clerk_accepts_corrects_and_rejects(page: Page, api: str, waiting: list[int]) -> None:
    for job, decision, state in (
        (waiting[0], "accept", "✓ done"),
        (waiting[1], "correct", "✓ done"),
        (waiting[2], "reject", "✗ failed"),
    ):
        decide(page, api, job, decision)
        page.goto(f"{api}/jobs/{job}")
        expect(page.locator("#head .state")).to_have_text(state)


def test_clerk_takes_back_and_sees_what_they_did_today(page: Page, api: str, waiting: list[int]) -> None:
    decide(page, api, waiting[0], "accept")
    decide(page, api, waiting[1], "reject")
    page.goto(f"{api}/review")
    mine = section(page, "What you decided").locator("tbody tr")
    expect(mine.nth(0)).to_contain_text(re.compile(f"{waiting[1]}.*rejected"))
    expect(mine.nth(1)).to_contain_text(re.compile(f"{waiting[0]}.*accepted"))
    page.get_by_role("button", name="Undo my last").click()
    page.wait_for_url(f"**/review/{waiting[1]}")
    page.goto(f"{api}/review")
    expect(mine.nth(0)).to_contain_text("taken back")
    expect(mine.nth(1)).not_to_contain_text("taken back")


# --- who writes prompts ---


def test_author_the_messages_and_the_reply_of_one_job(page: Page, api: str, stack: RunningStack) -> None:
    page.goto(f"{api}/jobs/{stack.jobs[3]}")
    said = section(page, "What the models saw and said").locator("details").first
    said.locator("summary").click()
    expect(said.get_by_label("Message of system")).to_contain_text("You read till receipts.")
    expect(said.get_by_label("Message of user")).to_contain_text(SECRET)
    expect(said.get_by_label("Reply")).to_contain_text("4.1")


def test_author_the_old_text_against_the_new(page: Page, api: str) -> None:
    page.goto(f"{api}/prompts/receipt")
    page.get_by_label("Compare", exact=True).select_option("v2")
    page.get_by_label("with", exact=True).select_option("v3")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("ins").filter(has_text='see = "auto"')).to_have_count(1)


def test_author_acceptance_by_version_and_field(page: Page, api: str, waiting: list[int]) -> None:
    decide(page, api, waiting[0], "correct")
    page.goto(f"{api}/prompts")
    page.get_by_role("link", name="receipt").first.click()
    for version in ("v2", "v3"):
        row = section(page, "By version").locator("tbody tr").filter(has_text=version)
        assert 0 < number(row.locator("td").nth(1).inner_text()) <= 100
    checks = section(page, "Checks that fail").locator("tbody tr")
    expect(checks.filter(has_text="total").first).to_be_visible()
    corrected = section(page, "Fields that people correct").locator("tbody tr").filter(has_text="total")
    answers = number(corrected.locator("td").nth(1).inner_text())
    decide(page, api, waiting[1], "correct")
    page.goto(f"{api}/prompts/receipt")
    expect(corrected.locator("td").nth(1)).to_have_text(f"{answers + 1:.0f}")


def test_author_examples_of_one_broken_check(page: Page, api: str) -> None:
    page.goto(f"{api}/prompts/receipt")
    row = section(page, "Checks that fail").locator("tbody tr").filter(has_text="… does not occur").first
    row.get_by_role("link").first.click()
    expect(section(page, "Checks and remedies")).to_contain_text(CHECK)


def test_author_whether_a_version_breaks_what_another_could(
    docmill: Command, page: Page, api: str, stack: RunningStack, waiting: list[int]
) -> None:
    decide(page, api, waiting[0], "accept")
    decide(page, api, waiting[1], "correct")
    page.goto(f"{api}/prompts/receipt")
    cases = section(page, "Cases").locator("tbody tr")
    expect(cases.filter(has_text=str(waiting[0]))).to_contain_text("accepted")
    expect(cases.filter(has_text=str(waiting[1]))).to_contain_text("corrected")
    stood_for, corrected = cases.count(), cases.filter(has_text="corrected").count()
    found = docmill("prompts", "gate", "receipt", "v3", "--against", "v2", "--json", "--data", str(stack.data))
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert f"{stood_for} cases, receipt/v2 and receipt/v3: about 0.0" in found.stderr, found.stderr
    scores = {each["field"]: each for each in told if "field" in each}
    total = scores["total"]
    assert total["values"] == stood_for
    # The simulator reads what stands there: right for those corrected, wrong for those that were accepted.
    assert (total["old"], total["new"], total["broken"]) == (corrected, corrected, 0)
    assert found.returncode == 0
