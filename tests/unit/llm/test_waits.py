from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.llm.waits import duration_s, wait_in_words_s, wait_s

ASKED = {"date": "Tue, 26 Mar 2024 19:59:59 GMT"}


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("6ms", 0.006),
        ("174ms", 0.174),
        ("1s", 1),
        ("39.5s", 39.5),
        ("1m30s", 90),
        ("6m0s", 360),
        ("2m59.56s", 179.56),
        ("9m38.016s", 578.016),
        ("1h2m3s", 3723),
        ("33 seconds", 33),
        ("1 hour and 20 minutes", 4800),
        ("1 day", 86400),
        ("", None),
        ("soon", None),
        ("5 sheep", None),
        ("12", None),
    ],
)
def test_durations(told: str, seconds: float | None) -> None:
    assert duration_s(told) == (None if seconds is None else pytest.approx(seconds))


@given(hours=st.integers(0, 30), minutes=st.integers(0, 59), milliseconds=st.integers(0, 59_999))
def test_a_go_duration_is_read_as_written(hours: int, minutes: int, milliseconds: int) -> None:
    told = f"{hours}h{minutes}m{milliseconds / 1000}s"
    assert duration_s(told) == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 174ms. Visit …", 0.174),
        ("Please try again in 9m38.016s. Need more tokens?", 578.016),
        ("Please retry after 33 seconds. Please go here", 33),
        ("Please retry in 39.5s.", 39.5),
        ("Please wait 2 minutes before you ask again", 120),
        ("try again later, 5s is not enough", None),
        ("Limit 30000, Used 18928", None),
        ("Please try again in 5 submissions", None),
    ],
)
def test_waits_in_words(message: str, seconds: float | None) -> None:
    assert wait_in_words_s(message) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After-Ms": "1500", "retry-after": "2"}, 1.5),
        ({"RETRY-AFTER": "7.5"}, 7.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "Tue, 26 Mar 2024 20:00:29 GMT", **ASKED}, 30),
        ({"retry-after": "Tue, 26 Mar 2024 19:00:00 GMT", **ASKED}, 0),
        ({"retry-after": "Tue, 26 Mar 2024 20:00:29 GMT"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s"}, 90),
        ({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "1m30s"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "-1"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12"}, 12),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2024-03-26T20:00:04Z",
                **ASKED,
            },
            5,
        ),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1711483259000", **ASKED}, 60),
        ({"ratelimit": '"api";r=0;t=295'}, 295),
        ({"ratelimit": '"api";r=999;t=295'}, None),
        ({}, None),
    ],
)
def test_waits_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_s(headers, "") == (None if seconds is None else pytest.approx(seconds))


def test_the_longest_empty_bucket_decides() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m",
    }
    assert wait_s(headers, "") == 60


def test_headers_go_before_the_body_and_retry_info_before_words() -> None:
    body = {"error": {"message": "try again in 9s", "details": [{"retryDelay": "26s"}]}}
    assert wait_s({"retry-after": "3"}, body) == 3
    assert wait_s({}, body) == 26
    assert wait_s({}, {"error": {"message": "try again in 9s"}}) == 9


def test_headers_that_a_gateway_quotes_in_the_body_count() -> None:
    quoted = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1711483259000"}
    body = {"error": {"message": "free-models-per-min", "metadata": {"headers": quoted}}}
    assert wait_s(ASKED, body) == 60


def test_the_callers_clock_serves_where_no_date_came() -> None:
    now = datetime(2024, 3, 26, 20, 0, 19, tzinfo=UTC)
    assert wait_s({"retry-after": "Tue, 26 Mar 2024 20:00:29 GMT"}, "", now=now) == 10


@given(headers=st.dictionaries(st.sampled_from(["retry-after", "date", "retry-after-ms"]), st.text(max_size=30)))
def test_a_wait_is_never_negative_and_never_raises(headers: dict[str, str]) -> None:
    told = wait_s(headers, "")
    assert told is None or told >= 0
