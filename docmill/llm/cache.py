"""Answers that were accepted, by the key of the work: first in this process, then in Redis or Valkey.

Away or empty it makes docmill slower, and never wrong: only checked answers get in, and a key covers everything
that an answer depends on.
"""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import redis
import structlog

__all__ = ["Cache", "Hit", "Layer", "NoCache", "TwoLayerCache"]

log = structlog.get_logger()

Layer: TypeAlias = Literal["l1", "l2"]

KEPT_S = 7 * 86_400
"""How long an answer is kept in L2; each use of it counts anew."""
L1_BYTES = 64_000_000
L1_S = 60.0
GENERATION_EVERY_S = 5.0
GENERATION = "docmill:cache:generation"
"""A number; whoever raises it empties every process's L1."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A cached answer: ``value`` as parse accepted it, and the layer that had it."""

    value: Mapping[str, Any]
    layer: Layer


class Cache(Protocol):
    """The seam between ``complete`` and what is known already."""

    def get(self, key: bytes) -> Hit | None:
        """The accepted answer to this work, if it is known."""

    def put(self, key: bytes, value: Mapping[str, Any]) -> None:
        """Keeps an accepted answer."""


class NoCache:
    """Nothing is known, and nothing kept."""

    def get(self, key: bytes) -> Hit | None:  # noqa: ARG002 - the seam's shape
        return None

    def put(self, key: bytes, value: Mapping[str, Any]) -> None:
        """Nothing is kept."""


@dataclass(kw_only=True)
class Recent:
    """L1: the answers that this process used last, bounded by bytes and by age. Safe for threads."""

    max_bytes: int = L1_BYTES
    max_age_s: float = L1_S
    clock: Callable[[], float] = time.monotonic
    _entries: OrderedDict[bytes, tuple[float, bytes]] = field(default_factory=OrderedDict, init=False)
    _bytes: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            if found[0] + self.max_age_s < self.clock():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return found[1]

    def put(self, key: bytes, packed: bytes) -> None:
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = (self.clock(), packed)
            self._bytes += len(packed)
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _drop(self, key: bytes) -> None:
        self._bytes -= len(self._entries.pop(key)[1])


class TwoLayerCache:
    """L1 in the process, L2 in Redis or Valkey, where values lie compressed."""

    def __init__(self, url: str, *, recent: Recent | None = None) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._recent = recent or Recent()
        self._generation: bytes | None = None
        self._looked_at = -GENERATION_EVERY_S

    def close(self) -> None:
        self._redis.close()

    def get(self, key: bytes) -> Hit | None:
        try:
            self._follow_generation()
            packed = self._recent.get(key)
            if packed is not None:
                return Hit(value=_unpacked(packed), layer="l1")
            packed = self._redis.getex(_name(key), ex=KEPT_S)
        except redis.RedisError as error:
            log.warning("cache_away", error=type(error).__name__)
            return None
        if packed is None:
            return None
        self._recent.put(key, packed)
        return Hit(value=_unpacked(packed), layer="l2")

    def put(self, key: bytes, value: Mapping[str, Any]) -> None:
        packed = zlib.compress(json.dumps(value, ensure_ascii=False).encode(), 1)
        try:
            self._redis.set(_name(key), packed, ex=KEPT_S)
        except redis.RedisError as error:
            log.warning("cache_away", error=type(error).__name__)

    def forget(self, key: bytes) -> None:
        """Takes an answer out of both layers, in every process within seconds."""
        self._redis.delete(_name(key))
        self._redis.incr(GENERATION)
        self._recent.clear()

    def clear(self) -> int:
        """Empties both layers; how many answers there were."""
        names = list(self._redis.scan_iter(match="docmill:answer:*", count=1000))
        for at in range(0, len(names), 1000):
            self._redis.unlink(*names[at : at + 1000])
        self._redis.incr(GENERATION)
        self._recent.clear()
        return len(names)

    def _follow_generation(self) -> None:
        now = time.monotonic()
        if now < self._looked_at + GENERATION_EVERY_S:
            return
        self._looked_at = now
        generation = self._redis.get(GENERATION)
        if generation != self._generation:
            self._generation = generation
            self._recent.clear()


def _name(key: bytes) -> str:
    return f"docmill:answer:{key.hex()}"


def _unpacked(packed: bytes) -> Mapping[str, Any]:
    value: Mapping[str, Any] = json.loads(zlib.decompress(packed))
    return value
