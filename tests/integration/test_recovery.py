"""A job's way through its remedies: the stages' plain functions, a real Postgres, and the simulator over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import uuid4

from sqlalchemy import text

from db import dispatch, jobs, ledger
from db.dispatch import SWEEP
from prompts import Registry
from tests.walk import RECEIPT, Walk


def test_a_result_says_where_its_values_stand(walk: Callable[..., Walk]) -> None:
    jobs_way = walk()
    job_id = jobs_way.submit()
    assert jobs_way.to_the_end(job_id).state == "done"
    result = jobs_way.result(job_id)
    places = {place: RECEIPT[span["start"] : span["end"]] for place, span in result.evidence.items()}
    assert places == {
        "company": "EXAMPLE TEA HOUSE",
        "address": "1 Sample Street",
        "date": "09/03/2018",
        "total": "12.50",
    }


def test_a_document_too_large_for_the_window_is_cut_by_what_the_provider_says(walk: Callable[..., Walk]) -> None:
    long = RECEIPT.replace("Tea 10.00", "\n".join(f"Tea {number}.10" for number in range(1500)))
    jobs_way = walk(context_window=6000)
    job_id = jobs_way.submit(long)
    job = jobs_way.to_the_end(job_id)
    assert job.state == "done"
    first, second = jobs_way.calls(job_id)
    assert (first.failure_kind, first.cost_usd) == ("context_overflow", None)
    assert (second.purpose, second.remedy, second.state) == ("overflow", "cut_context", "answered")
    assert job.context["left_out_chars"] > 0
    room = 6000 - Registry().get("receipt").config.limits.max_output_tokens
    assert room * 0.97 < second.input_tokens <= room
    drives = jobs_way.query("select stage from drives where job_id = :id order by epoch", id=job_id)
    assert [drive.stage for drive in drives] == ["context"]


def test_of_a_long_document_the_fields_places_are_shown_wherever_they_stand(walk: Callable[..., Walk]) -> None:
    lines = [f"Item {number}, size {number % 9}, shelf {number % 7}, as seen" for number in range(4000)]
    company, *rest = RECEIPT.splitlines()
    text = "\n".join([company, *lines[:2000], *rest, *lines[2000:]])
    jobs_way = walk(context_window=6000)
    job_id = jobs_way.submit(text)
    job = jobs_way.to_the_end(job_id)
    assert (job.state, jobs_way.result(job_id).value["total"]) == ("done", 12.5)
    shown = "".join(text[start:end] for start, end in job.context["passages"])
    assert rest[-1] in shown
    assert job.context["left_out_chars"] == sum(end - start for start, end in job.context["left_out"]) > 0


def test_a_small_document_is_left_whole_where_the_answer_can_have_less_room(walk: Callable[..., Walk]) -> None:
    jobs_way = walk(faults={"overflow": 0.6}, seed=1)
    ids = [jobs_way.submit(f"{RECEIPT}\nno {number}") for number in range(12)]
    ended = [jobs_way.to_the_end(job_id) for job_id in ids]
    assert {job.state for job in ended} == {"done"}
    assert {job.context["left_out_chars"] for job in ended} == {0}
    assert any(call.remedy == "cut_context" for job_id in ids for call in jobs_way.calls(job_id))


def test_a_correction_carries_the_last_reply_and_its_error_and_does_not_grow(walk: Callable[..., Walk]) -> None:
    jobs_way = walk(faults={"schema": 1.0})
    job_id = jobs_way.submit()
    job = jobs_way.to_the_end(job_id)
    assert job.state in ("needs_review", "done")
    exchanges = jobs_way.query(
        "select c.purpose, c.attempt, e.request, e.reply from calls c join exchanges e on e.call_id = c.id"
        " where c.job_id = :id order by c.attempt",
        id=job_id,
    )
    said = {exchange.attempt: exchange.reply["text"] for exchange in exchanges}
    corrections = [exchange for exchange in exchanges if exchange.purpose == "correction"]
    assert corrections
    for exchange in corrections:
        messages = exchange.request["messages"]
        assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
        assert messages[2]["content"] == said[exchange.attempt - 1]
        entry = next(each for each in job.history if each["attempt"] == exchange.attempt - 1)
        assert all(problem in messages[3]["content"] for problem in entry["problems"])


def test_a_wrong_value_goes_to_the_larger_model_and_then_to_a_person(walk: Callable[..., Walk]) -> None:
    jobs_way = walk(faults={"wrong": 1.0}, seed=2)
    ids = [jobs_way.submit(f"{RECEIPT}\nno {number}") for number in range(10)]
    states = {jobs_way.to_the_end(job_id).state for job_id in ids}
    assert states == {"done", "needs_review"}  # the larger model is wrong half as often
    for job_id in ids:
        calls = jobs_way.calls(job_id)
        assert [call.remedy for call in calls] == [None, "next_model"]
        assert [call.model for call in calls] == ["sim-small", "sim-large"]
        assert calls[1].cost_usd > calls[0].cost_usd > 0
        if jobs_way.job(job_id).state == "needs_review":
            evidence = jobs_way.result(job_id).evidence
            assert [place["found"] for place in evidence.values()].count(False) == 1


TWO_ACCOUNTS = """
[models.small]
provider = "simulator"
model = "sim-small"
account = "first"
[models.large]
provider = "anthropic"
model = "sim-large"
base_url = "URL"
account = "second"
"""


def test_an_empty_account_is_met_once_and_others_go_to_the_next_one(walk: Callable[..., Walk]) -> None:
    jobs_way = walk(TWO_ACCOUNTS, faults={"quota": 0.5}, seed=6)
    ids = [jobs_way.submit(f"{RECEIPT}\nno {number}") for number in range(6)]
    for job_id in ids:
        jobs_way.to_the_end(job_id)
    calls = [call for job_id in ids for call in jobs_way.calls(job_id)]
    for account in ("first", "second"):
        kinds = [call.failure_kind for call in calls if call.account == account]
        assert kinds.count("quota_exhausted") <= 1
        assert "quota_exhausted" not in kinds[:-1]
    with jobs_way.engine.begin() as connection:
        connection.execute(text("delete from model_state"))


def test_after_two_calls_in_doubt_a_person_decides(walk: Callable[..., Walk]) -> None:
    jobs_way = walk(faults={"hang": 1.0})
    job_id = jobs_way.submit()
    jobs_way.step(job_id)
    for _ in range(2):
        row = jobs_way.job(job_id)
        with jobs_way.engine.begin() as connection:
            connection.execute(
                text("update jobs set wait = 'sent', state = 'running' where id = :id"), {"id": job_id}
            )
            job = jobs.load(connection, job_id, row.epoch, "complete")
            assert job is not None
            intent = ledger.Intent(
                id=uuid4(), content_hash=b"", input_hash=b"", provider="simulator", account="default",
                model="sim-small", request={}, remedy=None, reserved_usd=None, owner="lost",
            )  # fmt: skip
            assert (
                ledger.open_call(connection, job, intent, work=uuid4().bytes, lease_s=-1, budgets=()) == "opened"
            )
            dispatch.run(connection, SWEEP["intents"])
    job_row = jobs_way.to_the_end(job_id)
    assert (job_row.state, job_row.failure["kind"]) == ("failed", "in_doubt")
    calls = jobs_way.calls(job_id)
    assert [(call.state, call.possibly_billed) for call in calls] == [("in_doubt", True)] * 2
    assert "bill" in json.dumps(job_row.failure)
