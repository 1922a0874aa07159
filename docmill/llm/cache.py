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
from decimal import Decimal
from typing import Any, Literal, Protocol, TypeAlias

import redis
import structlog
from cachetools import TTLCache
from pydantic_core import from_json

from docmill.storable import is_storable, storable_usd

__all__ = ["Cache", "Hit", "NoCache", "TwoLayerCache"]

log = structlog.get_logger()

Layer: TypeAlias = Literal["l1", "l2"]
Holds: TypeAlias = Literal["answer", "text"]
"""What is kept of a job is its answer, and of a part of it the text that the model said."""

KEPT_S = 7 * 86_400.0
"""How long an answer is kept in L2 where its prompt does not say; each use of it counts anew."""
MOST_BYTES = 16_000_000
"""Of an answer as JSON; one that is larger is neither kept nor read."""
LONGEST_MODEL = 1000
L1_BYTES = 64_000_000
L1_S = 60.0
GENERATION_EVERY_S = 5.0
ASK_AGAIN_S = 1.0
"""After the server was away it is left alone for so long."""
GENERATION = "docmill:cache:generation"
"""A number; whoever raises it empties every process's L1."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A cached answer: ``value`` as parse accepted it, who gave it for how much, and the layer that had it."""

    value: Mapping[str, Any]
    model: str
    cost_usd: Decimal | None
    """None where it is unknown."""
    layer: Layer


class Cache(Protocol):
    """The seam between ``complete`` and what is known already."""

    def get(self, key: bytes, *, kept_s: float = KEPT_S, holds: Holds = "answer") -> Hit | None:
        """The accepted answer to this work, if it is known; it is kept for so long anew."""

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = KEPT_S) -> None:
        """Keeps an accepted answer."""

    def forget(self, key: bytes) -> None:
        """Takes an answer out, in every process within seconds. Raises redis.RedisError."""


class NoCache:
    """Nothing is known, and nothing kept."""

    def get(self, key: bytes, *, kept_s: float = KEPT_S, holds: Holds = "answer") -> Hit | None:  # noqa: ARG002 - the seam's shape
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

    def get(self, key: bytes, *, kept_s: float = KEPT_S, holds: Holds = "answer") -> Hit | None:
        if time.monotonic() < self._away_until:
            return None
        try:
            return self._get(key, kept_s, holds)
        except redis.RedisError as error:
            self._away(error)
            return None

    def _get(self, key: bytes, kept_s: float, holds: Holds) -> Hit | None:
        self._follow_generation()
        generation = self._generation
        answer = self._recent.get(key)
        if answer is not None:
            return _hit(answer, holds, "l1")  # it was checked when it came
        packed = self._redis.execute_command("GETEX", _name(key), "EX", math.ceil(kept_s))
        if packed is None:
            return None
        try:
            answer = _unpacked(packed)
            hit = _hit(answer, holds, "l2")
        except (zlib.error, ValueError, RecursionError, ArithmeticError) as error:
            self._drop(key, error)
            return None
        if generation == self._generation:
            self._recent.put(key, answer)
        return hit

    def _drop(self, key: bytes, error: Exception) -> None:
        """What is no answer of ours is a miss, and lies in nobody's way any longer."""
        log.warning("cached_value_unfit", key=key.hex(), error=type(error).__name__)
        self._redis.delete(_name(key))

    def put(self, key: bytes, value: Mapping[str, Any], *, kept_s: float = KEPT_S) -> None:
        if time.monotonic() < self._away_until:
            return
        packed = _packed(value)
        if packed is None:
            return
        try:
            self._redis.set(_name(key), packed, ex=math.ceil(kept_s))
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


def _packed(value: Mapping[str, Any]) -> bytes | None:
    """None where it is too large to be read again."""
    answer = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    if len(answer) > MOST_BYTES:
        return None
    return zlib.compress(answer, 1) if len(answer) >= WORTH_PACKING else answer


def _unpacked(packed: bytes) -> bytes:
    """JSON begins with a brace, and what is compressed does not. Raises zlib.error, ValueError."""
    if packed.startswith(b"{"):
        answer, is_whole = packed, len(packed) <= MOST_BYTES
    else:
        unpacking = zlib.decompressobj()
        answer = unpacking.decompress(packed, MOST_BYTES)
        is_whole = unpacking.eof
    if not is_whole:
        raise ValueError("cut off, or too large")
    return answer


def _hit(answer: bytes, holds: Holds, layer: Layer) -> Hit:
    """The answer with all that is done with it checked: the server may be shared, and others write there, too.

    Raises ValueError, RecursionError, ArithmeticError.
    """
    value = _read(answer)
    if not isinstance(value, dict) or holds not in value:
        raise ValueError(f"no object with {holds}")
    model, cost, evidence = value.get("model"), value.get("cost_usd"), value.get("evidence")
    if not (isinstance(model, str) and 0 < len(model) <= LONGEST_MODEL and is_storable(model)):
        raise ValueError("model: none that can be stored")
    if holds == "text" and not (isinstance(value["text"], str) and is_storable(value["text"])):
        raise ValueError("text: none that can be stored")
    if evidence is not None and not isinstance(evidence, dict):
        raise ValueError("evidence: no object")
    return Hit(value=value, model=model, cost_usd=_usd(cost), layer=layer)


def _usd(written: object) -> Decimal | None:
    """Null is unknown, and whatever is no amount is no answer. Raises ValueError, ArithmeticError."""
    if written is None:
        return None
    usd = storable_usd(Decimal(written)) if isinstance(written, str) else None
    if usd is None:
        raise ValueError("cost_usd: no amount")
    return usd


def _read(answer: bytes) -> Any:
    """The JSON as Python's own reader would have it, in a third of its time but for what is nested deeply."""
    try:
        return from_json(answer)
    except ValueError:
        return json.loads(answer)
