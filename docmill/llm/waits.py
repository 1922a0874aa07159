"""How long a provider says to wait, in seconds, out of headers and body (docs/providers.md, section 6).

The order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), google.rpc ``RetryInfo``, the
words of the message ("try again in 9m38.016s"), then the resets of the buckets that are empty. Points in
time are counted from the response's own ``date`` header, because the two clocks may differ; only without
one from ``now``, which the caller gives.

What is told is believed up to a day. A wait that is negative, longer, or no number, and a point in time that is
long past or far off, is as good as untold: the next source is asked, and where none is left the wait is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from docmill.llm.wire.envelopes import Complaint, unwrap
from docmill.llm.wire.shapes import number

__all__ = ["duration_s", "wait_in_words_s", "wait_s"]

UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

# A unit must not run on into a word or another unit: "174ms" is no 174 minutes.
_STEP = re.compile(
    r"(\d{1,12}(?:\.\d{1,12})?)\s{0,3}"
    r"(ms|milliseconds?|msecs?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![a-z])",
    re.IGNORECASE,
)
_JOINT = re.compile(r"[\s,]{0,3}(?:and\s)?\s{0,2}", re.IGNORECASE)
_WORDS = re.compile(
    r"(?:try again|retry|retrying|wait|available|resets?)(?:\s(?:again|after|in|for|about)){0,3}:?\s",
    re.IGNORECASE,
)
_DRAFT = re.compile(r";\s{0,5}([rt])=(\d{1,9})")
_EPOCH_S = 1_000_000_000
_EPOCH_MS = 1_000_000_000_000

LONGEST_S = 86_400.0
"""No provider means more: beyond a day one asks again."""
SKEW_S = 60.0
"""So long past, a point in time has come by a clock that is not quite right; longer past, it means nothing."""
LONGEST_HEADER = 500
"""Characters; none of those that are read here has more."""


def wait_s(headers: Mapping[str, str], body: object, *, now: datetime | None = None) -> float | None:
    """Finds the seconds to wait, from none to a day, as the response says; None where it says nothing believable.

    Call it for responses that are failures only: some providers send ``retry-after`` with good replies too.
    ``body`` is decoded JSON, text, or a complaint already unwrapped. Never raises.
    """
    complaint = body if isinstance(body, Complaint) else unwrap(body)
    named = {
        str(name).lower(): str(value).strip()[:LONGEST_HEADER]
        for name, value in {**complaint.headers, **headers}.items()
    }
    asked_at = _http_date(named.get("date", "")) or now
    sources: tuple[Callable[[], float | None], ...] = (
        lambda: _milliseconds(named.get("retry-after-ms")),
        lambda: _told_s(named.get("retry-after", ""), asked_at),
        lambda: _retry_info(complaint),
        lambda: wait_in_words_s(complaint.message),
        lambda: _empty_buckets(named, asked_at),
    )
    found = (_believed(source()) for source in sources)
    told = next((seconds for seconds in found if seconds is not None), None)
    # To the nanosecond: more digits are the noise of adding.
    return None if told is None else round(told, 9)


def _believed(seconds: float | None) -> float | None:
    """The wait where it is one; NaN is none."""
    return seconds if seconds is not None and 0 <= seconds <= LONGEST_S else None


def duration_s(text: str) -> float | None:
    """Seconds of a duration such as ``6m0s``, ``174ms``, ``39.5s`` or ``1 hour and 20 minutes``; None for
    others."""
    total, end = _steps(text.strip())
    return total if end == len(text.strip()) and end else None


def wait_in_words_s(message: str) -> float | None:
    """Seconds that a message asks for, as in "Please try again in 9m38.016s"; None where it names none."""
    for words in _WORDS.finditer(message):
        total, end = _steps(message[words.end() : words.end() + 80])
        if end:
            return total
    return None


def _steps(text: str) -> tuple[float, int]:
    """The sum of the steps that the text begins with, and where they end."""
    total, end, at = 0.0, 0, 0
    while step := _STEP.match(text, at):
        total += float(step.group(1)) * _unit_s(step.group(2).lower())
        end = step.end()
        joint = _JOINT.match(text, end)
        at = joint.end() if joint else end
    return total, end


def _unit_s(unit: str) -> float:
    return UNIT_S["ms"] if unit.startswith(("ms", "milli")) else UNIT_S[unit[0]]


def _milliseconds(told: object) -> float | None:
    milliseconds = number(told)
    return None if milliseconds is None else milliseconds / 1000


def _told_s(told: str, asked_at: datetime | None) -> float | None:
    """A wait in any of its forms: seconds, a Go duration, an HTTP date, RFC 3339, an epoch in seconds or more."""
    seconds = number(told)
    if seconds is None:
        duration = duration_s(told)
        return duration if duration is not None else _until(_http_date(told) or _rfc3339(told), asked_at)
    if seconds < _EPOCH_S:
        return seconds
    epoch_s = seconds / 1000 if seconds >= _EPOCH_MS else seconds
    return None if asked_at is None else _from_now(epoch_s - asked_at.timestamp())


def _retry_info(complaint: Complaint) -> float | None:
    for detail in complaint.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, dict):
            seconds, nanos = number(delay.get("seconds", 0)), number(delay.get("nanos", 0))
            told = None if seconds is None else seconds + (nanos or 0.0) / 1e9
        else:
            told = duration_s(delay[:LONGEST_HEADER]) if isinstance(delay, str) else number(delay)
        if _believed(told) is not None:
            return told
    return None


def _empty_buckets(headers: Mapping[str, str], asked_at: datetime | None) -> float | None:
    """The longest reset among the buckets that have nothing left."""
    resets = [
        _told_s(headers.get(name.replace("remaining", "reset"), ""), asked_at)
        for name, value in headers.items()
        if "ratelimit" in name and "remaining" in name and number(value) == 0
    ]
    resets.append(_draft_bucket(headers.get("ratelimit", "")))
    known = [reset for reset in resets if _believed(reset) is not None and reset]
    return max(known, default=None)


def _draft_bucket(told: str) -> float | None:
    """The IETF draft's one line, ``"api";r=0;t=295``: r is left, t the seconds until the reset."""
    found = dict(_DRAFT.findall(told))
    return number(found.get("t")) if found.get("r") == "0" else None


def _until(then: datetime | None, asked_at: datetime | None) -> float | None:
    return None if then is None or asked_at is None else _from_now((then - asked_at).total_seconds())


def _from_now(seconds: float) -> float | None:
    """The seconds until a point in time; none where it has just come."""
    return max(seconds, 0.0) if seconds >= -SKEW_S else None


def _http_date(told: str) -> datetime | None:
    try:
        return _aware(parsedate_to_datetime(told)) if told else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _rfc3339(told: str) -> datetime | None:
    try:
        return _aware(datetime.fromisoformat(told))
    except ValueError:
        return None


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
