"""The provider's limits, shared by the whole fleet: requests and tokens a minute of each model of an account.

One atomic script over Redis or Valkey, by the server's own clock. A slot is taken in the future where there is
none now, and kept under the asker's name, so that asking again finds it. Where the cache server is away every
call may go: the provider still says no, and its no is kept as ever.

Of a model whose limits nobody knows yet, one call goes first; its answer may tell them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import redis
import structlog

from docmill.llm.limits import Limits

__all__ = ["Limiter", "NoLimiter", "RedisLimiter", "Slot"]

log = structlog.get_logger()

LONGEST_RESERVATION_S = 60.0
"""Farther ahead no slot is kept: who would wait longer is told to come again."""
KEPT_S = 120
"""How long a slot outlasts its time: who comes later than that asks anew."""
FORGOTTEN_S = 3600
PACE = 0.98
"""Of the limit: messages arrive a little before or after their time, and a no costs more than it gains."""
FIRST_ANSWER_S = 5
"""How long the others wait for the first call's answer, which may tell the limits."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """When a call may go. ``reserved`` is False where the asker has to ask again after the wait."""

    wait_s: float = 0.0
    reserved: bool = True


class Limiter(Protocol):
    """The seam between ``complete`` and the limits."""

    def ask(self, model: str, name: str, tokens: int, known: Limits) -> Slot:
        """A slot for a call of so many tokens; the same name finds the same slot again."""

    def told(self, model: str, wait_s: float) -> None:
        """The provider said no: nobody asks this model before the wait is over."""

    def answered(self, model: str, reserved: int, used: int, known: Limits, learned: Limits) -> None:
        """Gives back the tokens that a call had reserved and not used; keeps the limits that the answer told."""


class NoLimiter:
    """Every call may go."""

    def ask(self, model: str, name: str, tokens: int, known: Limits) -> Slot:  # noqa: ARG002 - the seam's shape
        return Slot()

    def told(self, model: str, wait_s: float) -> None:
        """Nobody to tell."""

    def answered(self, model: str, reserved: int, used: int, known: Limits, learned: Limits) -> None:
        """Nothing to keep."""


# KEYS: the model's state, the asker's slot. ARGV: tokens, limits as configured (0: unknown), the longest
# reservation, how long a slot is kept, how long an unused state, how long the first call is waited for, the
# share of the limit that is used. Times are seconds of the server's clock. ``req`` and ``tok`` are the times at
# which the next request and the next token are free.
ASK = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local kept = redis.call('GET', KEYS[2])
if kept then
  local left = kept - now
  if left <= 0 then redis.call('DEL', KEYS[2]) end
  return {tostring(math.max(0, left)), 1}
end
local state = redis.call('HMGET', KEYS[1], 'req', 'tok', 'until', 'rpm', 'tpm', 'first', 'seen')
local rpm = tonumber(ARGV[2]) > 0 and tonumber(ARGV[2]) or tonumber(state[4] or 0)
local tpm = tonumber(ARGV[3]) > 0 and tonumber(ARGV[3]) or tonumber(state[5] or 0)
if rpm == 0 and tpm == 0 and not state[7] then
  if not state[6] then
    redis.call('HSET', KEYS[1], 'first', now)
    redis.call('EXPIRE', KEYS[1], ARGV[6])
    return {'0', 1}
  end
  if now - state[6] < tonumber(ARGV[7]) then return {'0.5', 0} end
end
local at = math.max(now, tonumber(state[3] or 0))
if rpm > 0 then at = math.max(at, tonumber(state[1] or 0)) end
if tpm > 0 then at = math.max(at, tonumber(state[2] or 0)) end
if at - now > tonumber(ARGV[4]) then return {tostring(at - now), 0} end
if rpm > 0 then redis.call('HSET', KEYS[1], 'req', string.format('%.6f', at + 60 / rpm / ARGV[8])) end
if tpm > 0 then redis.call('HSET', KEYS[1], 'tok', string.format('%.6f', at + ARGV[1] * 60 / tpm / ARGV[8])) end
redis.call('EXPIRE', KEYS[1], ARGV[6])
if at > now then
  redis.call('SET', KEYS[2], string.format('%.6f', at), 'EX', math.ceil(at - now) + tonumber(ARGV[5]))
end
return {tostring(at - now), 1}
"""

TOLD = """
local time = redis.call('TIME')
local until_ = time[1] + time[2] / 1000000 + ARGV[1]
local before = tonumber(redis.call('HGET', KEYS[1], 'until') or 0)
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', math.max(before, until_)))
redis.call('EXPIRE', KEYS[1], ARGV[2])
return 1
"""

# What was not used frees the time that it was given, though never time that has passed.
ANSWERED = """
redis.call('HSET', KEYS[1], 'seen', 1)
if tonumber(ARGV[3]) > 0 then redis.call('HSET', KEYS[1], 'rpm', ARGV[3]) end
if tonumber(ARGV[4]) > 0 then redis.call('HSET', KEYS[1], 'tpm', ARGV[4]) end
local tpm = tonumber(ARGV[2]) > 0 and tonumber(ARGV[2]) or tonumber(redis.call('HGET', KEYS[1], 'tpm') or 0)
local free = tonumber(redis.call('HGET', KEYS[1], 'tok') or 0)
if tpm > 0 and free > 0 then
  redis.call('HSET', KEYS[1], 'tok', string.format('%.6f', free - ARGV[1] * 60 / tpm))
end
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""


class RedisLimiter:
    """Limits in Redis or Valkey. ``model`` names an account's model; calls of one name share its limits."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._ask = self._redis.register_script(ASK)
        self._told = self._redis.register_script(TOLD)
        self._answered = self._redis.register_script(ANSWERED)

    def close(self) -> None:
        self._redis.close()

    def ask(self, model: str, name: str, tokens: int, known: Limits) -> Slot:
        limits = [known.requests or 0, known.tokens or 0]
        values = [tokens, *limits, LONGEST_RESERVATION_S, KEPT_S, FORGOTTEN_S, FIRST_ANSWER_S, PACE]
        try:
            wait, reserved = self._ask(keys=[_state(model), f"docmill:slot:{model}:{name}"], args=values)
        except redis.RedisError as error:
            _away(error)
            return Slot()
        return Slot(wait_s=float(wait), reserved=bool(reserved))

    def told(self, model: str, wait_s: float) -> None:
        try:
            self._told(keys=[_state(model)], args=[wait_s, FORGOTTEN_S])
        except redis.RedisError as error:
            _away(error)

    def answered(self, model: str, reserved: int, used: int, known: Limits, learned: Limits) -> None:
        values = [reserved - used, known.tokens or 0, learned.requests or 0, learned.tokens or 0, FORGOTTEN_S]
        try:
            self._answered(keys=[_state(model)], args=values)
        except redis.RedisError as error:
            _away(error)


def _state(model: str) -> str:
    return f"docmill:limit:{model}"


def _away(error: redis.RedisError) -> None:
    log.warning("cache_away", error=type(error).__name__)
