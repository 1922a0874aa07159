"""No pattern takes longer than linear time over a text, whoever wrote the text."""

from __future__ import annotations

import re
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.unit.patterns import SPOILER, Named, Pattern, all_patterns, hostile_texts

FEW, MANY = 3000, 20_000
"""Repetitions: of a first look at every text, and of a second one at those that may be slow."""
MOST_CHARS = 40_000
SUSPECT_S = 0.0005
"""For few repetitions: at the steps of a square it is a thousandth of a second or much more, at linear ones less."""
SLOW_S = 0.03
"""For many: below, a measured time says nothing of growth."""
LONGEST_S = 0.8
"""Of processor time: whatever takes this long is not linear."""
MOST_GROWTH, SUSPECT_GROWTH = 9.0, 6.0
"""For four times the text: linear is 4, a square 16."""
TRIES = 3


class TookTooLong(Exception):
    """Python's matching looks at signals now and then, so that it can be stopped."""


@contextmanager
def time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TookTooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def seconds(named: Named, before: str, pump: str, times: int) -> float:
    text = before + pump * times + SPOILER
    started = time.process_time()
    look(named.pattern, text, anchored=named.anchored)
    return time.process_time() - started


def growth(named: Named, before: str, pump: str, times: int) -> tuple[float, float]:
    """Seconds for a quarter of the repetitions, and for all."""
    whole = min(seconds(named, before, pump, times) for _ in range(2))
    return min(seconds(named, before, pump, times // 4) for _ in range(3)), whole


def look(pattern: Pattern, text: str, *, anchored: bool) -> None:
    if isinstance(pattern.pattern, bytes):
        body = text.encode("utf-8", errors="surrogatepass")
        run(pattern, body, anchored=anchored)  # type: ignore[arg-type] # bytes, as was just seen
    else:
        run(pattern, text, anchored=anchored)


def run(pattern: re.Pattern[str], text: str, *, anchored: bool) -> None:
    if anchored:
        pattern.match(text)
    else:
        deque(pattern.finditer(text), maxlen=0)


def slow_text(named: Named) -> str | None:
    """A text over which the pattern takes longer than linear time, as a person may try it; None if none is known."""
    for before, pump in hostile_texts(named.pattern):
        told = f"{before!r} + {pump!r} * N + {SPOILER!r}"
        try:
            with time_limit():
                if not _is_suspect(named, before, pump):
                    continue
                slow = _grows_each_time(named, before, pump)
        except TookTooLong:
            return f"{told}: above {LONGEST_S:g} s"
        if slow:
            return f"{told}: {slow[0]:.3f} s, and {slow[1]:.3f} s for four times the text"
    return None


def _grows_each_time(named: Named, before: str, pump: str) -> tuple[float, float] | None:
    """Seconds for a text and one of four times its length; None unless it grows too much whenever it is tried.

    On a busy machine it may seem so once.
    """
    measured = None
    for _ in range(TRIES):
        quarter, whole = measured = growth(named, before, pump, min(MANY, MOST_CHARS // len(pump)))
        if not (whole > SLOW_S and whole > MOST_GROWTH * quarter):
            return None
    return measured


def _is_suspect(named: Named, before: str, pump: str) -> bool:
    few = min(FEW, MOST_CHARS // len(pump))
    if seconds(named, before, pump, few) < SUSPECT_S:
        return False
    quarter, whole = growth(named, before, pump, few)
    return whole > SUSPECT_GROWTH * quarter


@pytest.mark.parametrize(
    ("pattern", "is_slow"),
    [
        (r"(?:<!--.*?-->\s*)*<html", True),
        (r"(?<=[a-z])\u200d+|\u200d+(?=[a-z])", True),
        (r"\s+$", True),
        (r"(a+)+b", True),
        (r"(?:a|a)*b", True),
        (r"\d+\.\d+,", True),
        (r"<!--.*?-->", True),
        (r"[ \t]*\n", True),
        (r"(?<![ \t])[ \t]*+\n", False),
        (r"\w+", False),
        (r"a{1,30}b", False),
        (r"<[^<>]*>", False),
    ],
)
def test_slow_patterns_are_found(pattern: str, is_slow: bool) -> None:
    named = Named(where="here", pattern=re.compile(pattern, re.DOTALL), anchored=False)
    assert (slow_text(named) is not None) == is_slow


PATTERNS = all_patterns()


def test_patterns_are_found_where_they_stand() -> None:
    assert len(PATTERNS) > 150


@pytest.mark.parametrize("named", PATTERNS, ids=lambda named: named.where)
def test_a_pattern_is_linear(named: Named) -> None:
    assert slow_text(named) is None, named.pattern.pattern
