"""The two layers of the cache, on a real Valkey."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import pytest

from docmill.llm.cache import TwoLayerCache
from workers.stack.servers import EmbeddedServers

LARGE = {"answer": {"text": "tea " * 2000}, "cost_usd": None}
DEEP: dict[str, object] = {}
for _ in range(400):
    DEEP = {"answer": DEEP}
ODD = {"whole": 2**70, "real": [0.1, 1e-300, -0.0], "text": '\0 é 𝄞 "', "nothing": [None, [], {}]}


@pytest.fixture
def caches(servers: EmbeddedServers) -> Iterator[tuple[TwoLayerCache, TwoLayerCache]]:
    """Those of two processes."""
    made = TwoLayerCache(servers.cache_url), TwoLayerCache(servers.cache_url)
    yield made
    for cache in made:
        cache.close()


@pytest.mark.parametrize("value", [{"answer": {"total": 1}}, LARGE, DEEP, ODD])
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
    one.put(key, {"answer": 1})
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
    one.put(key, {"answer": 1}, kept_s=0.5)
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


def test_while_the_server_is_away_nothing_is_known_and_nobody_waits() -> None:
    cache = TwoLayerCache("unix:///nowhere/cache")
    started = time.monotonic()
    for _ in range(100):
        cache.put(b"key", {"answer": 1})
        assert cache.get(b"key") is None
    assert time.monotonic() - started < 1
    cache.close()
