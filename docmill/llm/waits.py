"""How long a provider says to wait, in seconds, out of headers and body (docs/providers.md, section 6).

The order: ``retry-after-ms``, ``retry-after`` (seconds or an HTTP date), google.rpc ``RetryInfo``, the
words of the message ("try again in 9m38.016s"), then the resets of the buckets that are empty. Points in
time are counted from the response's own ``date`` header, because the two clocks may differ; only without
one from ``now``, which the caller gives.
"""

from __future__ import annotations

import math
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
_EPOCH_S = 1_000_000_000
_EPOCH_MS = 1_000_000_000_000


def wait_s(headers: Mapping[str, str], body: object, *, now: datetime | None = None) -> float | None:
    """Seconds to wait as the response says, never negative; None where it says nothing.

    Call it for responses that are failures only: some providers send ``retry-after`` with good replies too.
    ``body`` is decoded JSON, text, or a complaint already unwrapped.
    """
    complaint = body if isinstance(body, Complaint) else unwrap(body)
    named = {str(name).lower(): str(value).strip() for name, value in {**complaint.headers, **headers}.items()}
    asked_at = _http_date(named.get("date", "")) or now
    sources: tuple[Callable[[], float | None], ...] = (
        lambda: _retry_after(named, asked_at),
        lambda: _retry_info(complaint),
        lambda: wait_in_words_s(complaint.message),
        lambda: _empty_buckets(named, asked_at),
    )
    found = (source() for source in sources)
    told = next((seconds for seconds in found if seconds is not None), None)
    # To the nanosecond: more digits are the noise of adding.
    return None if told is None else round(max(told, 0.0), 9)


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


def _retry_after(headers: Mapping[str, str], asked_at: datetime | None) -> float | None:
    milliseconds = number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after", "")
    seconds = number(told)
    if seconds is not None:
        return seconds
    return duration_s(told) if told and duration_s(told) is not None else _until(_http_date(told), asked_at)


def _retry_info(complaint: Complaint) -> float | None:
    for detail in complaint.details:
        delay = detail.get("retryDelay")
        if isinstance(delay, dict):
            seconds, nanos = number(delay.get("seconds", 0)), number(delay.get("nanos", 0))
            return (seconds or 0.0) + (nanos or 0.0) / 1e9
        told = duration_s(delay) if isinstance(delay, str) else number(delay)
        if told is not None:
            return told
    return None


def _empty_buckets(headers: Mapping[str, str], asked_at: datetime | None) -> float | None:
    """The longest reset among the buckets that have nothing left."""
    resets = [
        _reset_s(headers.get(name.replace("remaining", "reset"), ""), asked_at)
        for name, value in headers.items()
        if "ratelimit" in name and "remaining" in name and number(value) == 0
    ]
    resets.append(_draft_bucket(headers.get("ratelimit", "")))
    known = [reset for reset in resets if reset is not None and reset > 0]
    return max(known, default=None)


def _reset_s(told: str, asked_at: datetime | None) -> float | None:
    """A reset in any of its forms: seconds, a Go duration, a point in time as RFC 3339 or an epoch."""
    seconds = number(told)
    if seconds is None:
        return duration_s(told) if duration_s(told) is not None else _until(_rfc3339(told), asked_at)
    if seconds < _EPOCH_S:
        return seconds
    epoch_s = seconds / 1000 if seconds >= _EPOCH_MS else seconds
    return None if asked_at is None else epoch_s - asked_at.timestamp()


def _draft_bucket(told: str) -> float | None:
    """The IETF draft's one line, ``"api";r=0;t=295``: r is left, t the seconds until the reset."""
    found = dict(re.findall(r";\s*([rt])=(\d{1,9})", told))
    return number(found.get("t")) if found.get("r") == "0" else None


def _until(then: datetime | None, asked_at: datetime | None) -> float | None:
    if then is None or asked_at is None:
        return None
    seconds = (then - asked_at).total_seconds()
    return seconds if math.isfinite(seconds) else None


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
