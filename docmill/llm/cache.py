"""Answers that were accepted, by the key of the work: first in this process, then in Redis or Valkey.

Away or empty it makes docmill slower, and never wrong: only checked answers get in, and a key covers everything
that an answer depends on.
"""

from __future__ import annotations

import json
import math
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import redis
import structlog
from cachetools import TTLCache
from pydantic_core import from_json

__all__ = ["Cache", "Hit", "NoCache", "TwoLayerCache"]

log = structlog.get_logger()

Layer: TypeAlias = Literal["l1", "l2"]

KEPT_S = 7 * 86_400.0
"""How long an answer is kept in L2 where its prompt does not say; each use of it counts anew."""
L1_BYTES = 64_000_000
L1_S = 60.0
GENERATION_EVERY_S = 5.0
ASK_AGAIN_S = 1.0
"""After the server was away it is left alone for so long."""
GENERATION = "docmill:cache:generation"
"""A number; whoever raises it empties every process's L1."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A cached answer: ``value`` as parse accepted it, and the layer that had it."""

    value: Mapping[str, Any]
    layer: Layer


class Cache(Protocol):
    """The seam between ``complete`` and what is known already."""

    def get(self, key: bytes, *, kept_s: float = KEPT_S) -> Hit | None:
        """The accepted answer to this work, if it is known; it is kept for so long anew."""

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = KEPT_S) -> None:
        """Keeps an accepted answer."""

    def forget(self, key: bytes) -> None:
        """Takes an answer out, in every process within seconds. Raises redis.RedisError."""


class NoCache:
    """Nothing is known, and nothing kept."""

    def get(self, key: bytes, *, kept_s: float = KEPT_S) -> Hit | None:  # noqa: ARG002 - the seam's shape
        return None

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = KEPT_S) -> None:
        """Nothing is kept."""

    def forget(self, key: bytes) -> None:
        """Nothing was kept."""


class Recent:
    """L1: the answers that this process used last, as JSON, bounded by bytes and by age. Safe for threads."""

    def __init__(
        self, *, max_bytes: int = L1_BYTES, max_age_s: float = L1_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._entries: TTLCache[bytes, bytes] = TTLCache(max_bytes, max_age_s, timer=clock, getsizeof=len)
        self._lock = threading.Lock()

    def get(self, key: bytes) -> bytes | None:
        with self._lock:
            return self._entries.get(key)

    def put(self, key: bytes, answer: bytes) -> None:
        # One that is larger than all the room is not kept.
        with self._lock, suppress(ValueError):
            self._entries[key] = answer

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


class TwoLayerCache:
    """L1 in the process, L2 in Redis or Valkey, where values lie compressed.

    While the server is away nothing is known: an answer that somebody rejected must not come back out of L1.
    """

    def __init__(self, url: str, *, recent: Recent | None = None) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._recent = Recent() if recent is None else recent
        self._generation: bytes | None = None
        self._look_at = 0.0
        self._away_until = 0.0

    def close(self) -> None:
        self._redis.close()

    def get(self, key: bytes, *, kept_s: float = KEPT_S) -> Hit | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            return self._get(key, kept_s)
        except redis.RedisError as error:
            self._away(error)
            return None

    def _get(self, key: bytes, kept_s: float) -> Hit | None:
        self._follow_generation()
        generation = self._generation
        answer = self._recent.get(key)
        if answer is not None:
            return Hit(value=_read(answer), layer="l1")
        packed = self._redis.execute_command("GETEX", _name(key), "EX", math.ceil(kept_s))
        if packed is None:
            return None
        answer = _unpacked(packed)
        if generation == self._generation:
            self._recent.put(key, answer)
        return Hit(value=_read(answer), layer="l2")

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = KEPT_S) -> None:
        if time.monotonic() < self._away_until:
            return
        try:
            self._redis.set(_name(key), _packed(value), ex=math.ceil(kept_s))
        except redis.RedisError as error:
            self._away(error)

    def forget(self, key: bytes) -> None:
        """Takes an answer out of both layers, in every process within seconds. Raises redis.RedisError."""
        self._redis.delete(_name(key))
        self._redis.incr(GENERATION)
        self._recent.clear()

    def kept(self) -> tuple[int, int]:
        """Returns how many answers L2 has, and their bytes as they lie there. Raises redis.RedisError."""
        answers, size = 0, 0
        for names in self._names():
            answers += len(names)
            with self._redis.pipeline(transaction=False) as together:
                for name in names:
                    together.strlen(name)
                size += sum(together.execute())
        return answers, size

    def clear(self) -> int:
        """Empties both layers; how many answers there were. Raises redis.RedisError."""
        answers = 0
        for names in list(self._names()):
            answers += len(names)
            self._redis.unlink(*names)
        self._redis.incr(GENERATION)
        self._recent.clear()
        return answers

    def _names(self) -> Iterator[Sequence[bytes]]:
        """The names of all answers, about a thousand at a time."""
        cursor = None
        while cursor != 0:
            cursor, names = self._redis.scan(cursor or 0, match=_PREFIX + "*", count=1000)
            if names:
                yield names

    def _follow_generation(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        generation = self._redis.get(GENERATION)
        if generation != self._generation:
            self._generation = generation
            self._recent.clear()
        self._look_at = now + GENERATION_EVERY_S

    def _away(self, error: redis.RedisError) -> None:
        """For a moment nobody asks: each would wait for the same silence."""
        self._look_at = 0.0
        self._away_until = time.monotonic() + ASK_AGAIN_S
        log.warning("cache_away", error=type(error).__name__)


_PREFIX = "docmill:answer:"
WORTH_PACKING = 500
"""Bytes of an answer from which compression saves more than it takes."""


def _name(key: bytes) -> str:
    return _PREFIX + key.hex()


def _packed(value: Mapping[str, Any]) -> bytes:
    answer = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return zlib.compress(answer, 1) if len(answer) >= WORTH_PACKING else answer


def _unpacked(packed: bytes) -> bytes:
    """JSON begins with a brace, and what is compressed does not."""
    return packed if packed.startswith(b"{") else zlib.decompress(packed)


def _read(answer: bytes) -> Any:
    """The JSON as Python's own reader would have it, in a third of its time but for what is nested deeply."""
    try:
        return from_json(answer)
    except ValueError:
        return json.loads(answer)
