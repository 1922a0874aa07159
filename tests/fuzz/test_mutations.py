"""Replies by mutation: each keeps its value, or is refused; none gives another value."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.examples import examples
from tests.fuzz.mutations import judged, replies

REPLIES_A_SEED = 100


@examples(20)
@given(seed=st.integers(0, 2**32))
def test_no_reply_gives_another_value(seed: int) -> None:
    for reply in replies(seed, REPLIES_A_SEED):
        outcome, found = judged(reply)
        assert outcome != "wrong", (reply.kinds, reply.text, reply.original.expected, found)


def test_what_is_plain_is_read() -> None:
    """To refuse all would keep the rule above, too."""
    counts = Counter(judged(reply)[0] for reply in replies(7, 2000))
    assert counts["read"] > 900
    alone = [
        reply for reply in replies(7, 2000) if reply.kinds in ((), ("fence",), ("prose before",), ("assigned",))
    ]
    assert all(judged(reply)[0] == "read" for reply in alone)
