"""The two layers of the cache, on a real Valkey."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docmill.llm.cache import MOST_BYTES, TwoLayerCache
from workers.stack.servers import EmbeddedServers

LARGE = {"answer": {"text": "tea " * 2000}, "model": "m", "cost_usd": None}
DEEP: dict[str, object] = {}
for _ in range(400):
    DEEP = {"answer": DEEP, "model": "m"}
ODD = {
    "answer": 1,
    "model": "m",
    "whole": 2**70,
    "real": [0.1, 1e-300, -0.0],
    "text": '\0 é 𝄞 "',
    "nothing": [None, [], {}],
}


@pytest.fixture
def caches(servers: EmbeddedServers) -> Iterator[tuple[TwoLayerCache, TwoLayerCache]]:
    """Those of two processes."""
    made = TwoLayerCache(servers.cache_url), TwoLayerCache(servers.cache_url)
    yield made
    for cache in made:
        cache.close()


@pytest.mark.parametrize("value", [{"answer": {"total": 1}, "model": "m"}, LARGE, DEEP, ODD])
def test_an_answer_is_found_in_the_shared_layer_and_then_in_the_process(
    caches: tuple[TwoLayerCache, TwoLayerCache], value: dict[str, object]
) -> None:
    one, other = caches
    key = uuid4().bytes
    assert other.get(key) is None
    one.put(key, value)
    hits = [other.get(key) for _ in range(2)]
    assert [hit and hit.layer for hit in hits] == ["l2", "l1"]
    assert all(hit is not None and hit.value == value for hit in hits)


def test_what_is_forgotten_is_gone_from_every_process_within_seconds(
    caches: tuple[TwoLayerCache, TwoLayerCache],
) -> None:
    one, other = caches
    key = uuid4().bytes
    one.put(key, {"answer": 1, "model": "m"})
    assert [cache.get(key) is not None for cache in caches] == [True, True]
    one.forget(key)
    assert one.get(key) is None
    give_up_at = time.monotonic() + 10
    while other.get(key) is not None:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)


def test_an_answer_is_kept_as_long_as_its_prompt_says(caches: tuple[TwoLayerCache, TwoLayerCache]) -> None:
    one, other = caches
    key = uuid4().bytes
    one.put(key, {"answer": 1, "model": "m"}, kept_s=0.5)
    give_up_at = time.monotonic() + 5
    while one._redis.exists(f"docmill:answer:{key.hex()}"):
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert other.get(key) is None


def test_the_shared_layer_tells_what_it_has(caches: tuple[TwoLayerCache, TwoLayerCache]) -> None:
    one, _ = caches
    one.put(uuid4().bytes, LARGE)
    answers, size = one.kept()
    assert answers >= 1
    assert 0 < size < 8000 * answers
    assert one.clear() == answers
    assert one.kept() == (0, 0)


GOOD: dict[str, Any] = {"answer": {"total": 1}, "model": "m", "cost_usd": "0.1"}
AMOUNTS: list[Any] = ["abc", "NaN", "sNaN", "Infinity", "-1", "1e9", 0.1, True, [], "1" * 400]
MODELS: list[Any] = ["a\0", "\ud800", "", 7, None, "m" * 5000]
UNFIT = [
    b"",
    b"garbage",
    b'{"answer": ',
    b'{"x":1}',
    b'{"answer": "\xff", "model": "m"}',
    b'{"answer": ' + b"[" * 300_000,
    zlib.compress(b"[]"),
    zlib.compress(json.dumps(GOOD).encode())[:-3],
    zlib.compress(b'{"model": "m", "answer": "' + b"a" * MOST_BYTES + b'"}'),
    *(json.dumps(GOOD | {"cost_usd": odd}).encode() for odd in AMOUNTS),
    *(json.dumps(GOOD | {"model": odd}).encode() for odd in MODELS),
    json.dumps(GOOD | {"evidence": [1]}).encode(),
]


@pytest.mark.parametrize("lies", UNFIT, ids=range(len(UNFIT)))
def test_what_is_no_answer_of_ours_is_a_miss_and_lies_there_no_longer(
    caches: tuple[TwoLayerCache, TwoLayerCache], lies: bytes
) -> None:
    one, other = caches
    key = uuid4().bytes
    one._redis.set(f"docmill:answer:{key.hex()}", lies)
    assert other.get(key) is None
    assert not one._redis.exists(f"docmill:answer:{key.hex()}")
    one.put(key, GOOD)
    found = other.get(key)
    assert found is not None, "it is known again once it was asked for again"
    assert (found.value, found.model, str(found.cost_usd)) == (GOOD, "m", "0.1000000000")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lies=st.binary()
    | st.binary().map(zlib.compress)
    | st.binary().map(lambda end: json.dumps(GOOD).encode() + end)
)
def test_whatever_lies_there_nobody_stops_for_it(caches: tuple[TwoLayerCache, TwoLayerCache], lies: bytes) -> None:
    one, other = caches
    key = uuid4().bytes
    one._redis.set(f"docmill:answer:{key.hex()}", lies)
    hit = other.get(key)
    assert hit is None or hit.value == GOOD
    assert one._redis.exists(f"docmill:answer:{key.hex()}") == (hit is not None)


@pytest.mark.parametrize("text", [None, 7, "a\0"])
def test_what_a_part_said_is_a_text(caches: tuple[TwoLayerCache, TwoLayerCache], text: object) -> None:
    one, other = caches
    key = uuid4().bytes
    one.put(key, {"text": text, "model": "m"})
    assert other.get(key, holds="text") is None
    one.put(key, {"text": "said", "model": "m"})
    assert other.get(key) is None, "it is no job's answer"


def test_what_is_too_large_to_be_read_is_not_kept(caches: tuple[TwoLayerCache, TwoLayerCache]) -> None:
    one, _ = caches
    key = uuid4().bytes
    one.put(key, GOOD | {"answer": "a" * MOST_BYTES})
    assert not one._redis.exists(f"docmill:answer:{key.hex()}")


def test_while_the_server_is_away_nothing_is_known_and_nobody_waits() -> None:
    cache = TwoLayerCache("unix:///nowhere/cache")
    started = time.monotonic()
    for _ in range(100):
        cache.put(b"key", {"answer": 1, "model": "m"})
        assert cache.get(b"key") is None
    assert time.monotonic() - started < 1
    cache.close()
