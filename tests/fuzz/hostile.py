"""Texts, numbers and values as nobody should send them, and as somebody does."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["json_bodies", "nested", "numbers", "texts", "values"]

TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\udfff\ud800",
    "\ufeff",
    "\u202ereversed",
    "\u200b\u200d\u2060",
    "line\r\nX-Header: forged",
    "\x1b]0;title\x07\x1b[31m",
    "[red]markup[/x]",
    "{{ 7 * 7 }}{% raw %}",
    "<script>alert(1)</script><!---->",
    "'; drop table jobs; --",
    "=1+1",
    "-1",
    "../../etc/passwd",
    "%00%2e%2e%2f",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "null",
    "true",
    "9" * 5000,
    "0" * 5000 + "1",
    "٣٤٥",
    "ﬁ",
    "e" + "\u0301" * 500,
    "𝟙𝟚",
    "\U0010ffff",
    "2026-02-30",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "infinity",
    "-infinity",
)
NUMBERS = (
    *(0, -0.0, -1, 1, 0.1, 1e-320, 1e300, 1.8e308, float("inf"), float("-inf"), float("nan")),
    *(2**31 - 1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**400),
)
RAW = (
    b"",
    b"\0",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"{" * 10_000,
    b"[" * 100_000,
    b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    b"9" * 100_000,
    b"1e400",
    b"-",
    b'"\\ud800"',
    b'"\\u0000"',
    b"NaN",
    b"[1,]",
    b"{}{}",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
)
"""Bodies that are no JSON, or that many a reader of JSON falls over."""


def texts() -> st.SearchStrategy[str]:
    """Texts of all characters that Python has, lone surrogates and NUL among them, and some very long ones."""
    anything = st.text(st.characters(codec=None, categories=None), max_size=40)
    repeated = st.builds(lambda part, times: part * times, st.sampled_from(TEXTS), st.sampled_from((2, 300, 3000)))
    return st.one_of(st.sampled_from(TEXTS), anything, repeated)


def numbers() -> st.SearchStrategy[float]:
    """Numbers at the edges of all types that hold them; NaN, infinities, and one of 400 digits among them."""
    return st.one_of(st.sampled_from(NUMBERS), st.integers(), st.floats())


def nested(depth: int, *, mappings: bool = False) -> Any:
    """A value inside so many lists, or mappings."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value} if mappings else [value]
    return value


def values() -> st.SearchStrategy[Any]:
    """What JSON may hold, and a little that it may not."""
    scalars = st.one_of(st.none(), st.booleans(), numbers(), texts())
    deep = st.builds(
        lambda depth, mappings: nested(depth, mappings=mappings),
        st.sampled_from((19, 20, 21, 100, 240, 260, 900)),
        st.booleans(),
    )
    small = st.recursive(
        scalars,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts(), inner, max_size=3)),
        max_leaves=6,
    )
    return st.one_of(small, small, deep)


def json_bodies(shape: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """``shape`` as JSON, in the ways that Python writes it, whole or cut; and bytes that are none."""
    written = st.builds(_written, shape, st.booleans())
    cut = st.builds(lambda body, share: body[: int(len(body) * share)], written, st.floats(0, 1))
    return st.one_of(written, written, written, cut, st.sampled_from(RAW), st.binary(max_size=60))


def _written(value: Any, plain: bool) -> bytes:
    """A number of 400 digits stands there with all of them; a lone surrogate as its escape, or as its bytes."""
    return json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass")
