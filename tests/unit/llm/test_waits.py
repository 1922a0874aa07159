from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docmill.llm.limits import told_left, told_limits
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
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "Tue, 26 Mar 2024 20:00:29 GMT", **ASKED}, 30),
        ({"retry-after": "Tue, 26 Mar 2024 19:59:40 GMT", **ASKED}, 0),
        ({"retry-after": "Tue, 26 Mar 2024 19:00:00 GMT", **ASKED}, None),
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


NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
SENSELESS = (
    *("1e300", "1e999", "inf", "-inf", "nan", "-1", "-0.5", "999999999", "100000000000", "86401", "9" * 5000),
    *("1_0", "٣٠", "0x10", "true", "[]", "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
    *("Tue, 99 Foo 2026 25:61:61 GMT", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "in a while"),
    *(str(EPOCH - 3600), str(EPOCH + 90_000), str((EPOCH - 3600) * 1000), str(EPOCH * 1_000_000), "25h", "2 days"),
)


@pytest.mark.parametrize("told", SENSELESS, ids=lambda told: told[:30])
def test_a_wait_that_makes_no_sense_is_as_good_as_untold(told: str) -> None:
    assert wait_s({"retry-after": told}, "", now=NOW) is None
    assert wait_s({"retry-after": told}, {"error": {"message": "try again in 9s"}}, now=NOW) == 9
    assert wait_s({}, {"error": {"details": [{"retryDelay": told}]}}, now=NOW) is None
    bucket = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": told}
    others = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "5s"}
    assert wait_s(bucket, "", now=NOW) is None
    assert wait_s(bucket | others, "", now=NOW) == 5


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        (str(EPOCH + 30), 30),
        (f"{EPOCH + 30}.5", 30.5),
        (str((EPOCH + 30) * 1000), 30),
        (str(EPOCH - 2), 0),
        ("2026-11-29T12:00:30Z", 30),
        ("Sun, 29 Nov 2026 12:00:30 GMT", 30),
        ("30s", 30),
        ("86400", 86_400),
        ("0", 0),
    ],
)
def test_a_point_in_time_near_enough_is_a_wait_in_every_form(told: str, seconds: float) -> None:
    assert wait_s({"retry-after": told}, "", now=NOW) == seconds


def test_a_point_in_time_without_a_clock_is_unknown() -> None:
    assert wait_s({"retry-after": str(EPOCH + 30)}, "") is None


headers_like = st.dictionaries(
    st.sampled_from(
        [
            *("retry-after", "date", "retry-after-ms", "ratelimit", "x-ratelimit-remaining-tokens"),
            *("x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-remaining"),
            *("anthropic-ratelimit-requests-reset", "x-ratelimit-limit-tokens", "x-ratelimit-limit-requests"),
        ]
    ),
    st.text(max_size=30) | st.sampled_from([*SENSELESS, "0", "12", "30s", str(EPOCH + 30)]),
)


@given(headers=headers_like)
def test_a_wait_is_from_none_to_a_day_and_reading_it_never_raises(headers: dict[str, str]) -> None:
    told = wait_s(headers, "", now=NOW)
    assert told is None or 0 <= told <= 86_400


@given(headers=headers_like)
def test_limits_are_counts_that_somebody_may_have(headers: dict[str, str]) -> None:
    for told, least in ((told_limits("openai", headers), 1), (told_left("openai", headers), 0)):
        for count in (told.requests, told.tokens):
            assert count is None or least <= count <= 10**11


@pytest.mark.parametrize("told", ["0", "-1", "", "1e9", "9" * 5000, "nan", "many", "12.5", "٣", "1_000"])
def test_a_limit_of_zero_or_nonsense_is_unknown(told: str) -> None:
    limits = told_limits("openai", {"x-ratelimit-limit-requests": told, "X-RateLimit-Limit-Tokens": told})
    assert (limits.requests, limits.tokens) == (None, None)


def test_no_more_is_left_than_the_limit() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "61",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "0",
    }
    left = told_left("openai", headers)
    assert (left.requests, left.tokens) == (None, 0)
