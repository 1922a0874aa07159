"""The limiter's script on its server, which is given some of what it is told by the handful."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import redis
import structlog

__all__ = ["LimiterScript"]

log = structlog.get_logger()

ASK_AGAIN_S = 1.0
"""After the server was away it is left alone for so long."""
TOLD_WITHIN_S = 0.05
"""What may be told a little later is told by then."""
MOST_UNTOLD = 10_000
"""Of what waits for a server that is away, the latest."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What the script is run with."""

    keys: Sequence[str]
    args: Sequence[str | float]


class LimiterScript:
    """Runs ``limiter.lua``, which changes and answers all at once. Safe for threads.

    What nobody waits for goes with what is asked next, in one round trip: so whoever asks in this process finds
    all that was told before. A thread tells it where nobody asks.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        """``clock`` takes the place of the server's own."""
        self._redis: Any = redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        script = resources.files("docmill.llm").joinpath("limiter.lua").read_text(encoding="utf-8")
        self._script = self._redis.register_script(script)
        self._clock = clock
        self._away_until = 0.0
        self._untold: list[Run] = []
        self._lock = threading.Lock()
        self._some_untold, self._closing = threading.Event(), threading.Event()
        self._teller: threading.Thread | None = None

    def close(self) -> None:
        """Tells what is untold, and ends."""
        self._closing.set()
        self._some_untold.set()
        if self._teller is not None:
            self._teller.join()
        self._send([])
        self._redis.close()

    def run(self, keys: Sequence[str], values: Sequence[str | float]) -> Any:
        """Returns what the script answers; None where the server is away."""
        return self._send([self._run_of(keys, values)])

    def run_soon(self, keys: Sequence[str], values: Sequence[str | float]) -> None:
        """Has the script run with the next one, or within ``TOLD_WITHIN_S``; where the server is away, once it is
        back.
        """
        with self._lock:
            self._untold.append(self._run_of(keys, values))
            del self._untold[:-MOST_UNTOLD]
            if self._teller is None:
                self._teller = threading.Thread(target=self._keep_telling, name="docmill-limits", daemon=True)
                self._teller.start()
        self._some_untold.set()

    def _run_of(self, keys: Sequence[str], values: Sequence[str | float]) -> Run:
        now = "" if self._clock is None else f"{self._clock():.6f}"
        return Run(keys=keys, args=[now, *values])

    def _keep_telling(self) -> None:
        while not self._closing.is_set():
            self._some_untold.wait()
            self._closing.wait(TOLD_WITHIN_S)
            self._some_untold.clear()
            try:
                self._send([])
                if self._untold:
                    self._some_untold.set()
            except Exception:
                # A defect must be told, and must not end the thread: nobody else may ask for long.
                log.exception("limits_not_told")

    def _send(self, asked: Sequence[Run]) -> Any:
        """What the script answers to the last, after all that is untold.

        What was on its way as the server went away is not sent again: it may have come there.
        """
        if time.monotonic() < self._away_until:
            return None
        with self._lock:
            runs, self._untold = [*self._untold, *asked], []
        if not runs:
            return None
        try:
            return self._answer(runs)
        except redis.RedisError as error:
            self._away_until = time.monotonic() + ASK_AGAIN_S
            log.warning("cache_away", error=type(error).__name__, told=str(error)[:200])
            return None

    def _answer(self, runs: Sequence[Run]) -> Any:
        """What the script answers to the last, in one round trip for all. Raises redis.RedisError."""
        if len(runs) == 1:
            return self._script(keys=runs[0].keys, args=runs[0].args)
        with self._redis.pipeline(transaction=False) as together:
            for each in runs:
                together.evalsha(self._script.sha, len(each.keys), *each.keys, *each.args)
            answers = together.execute(raise_on_error=False)
        return [self._checked(each, answer) for each, answer in zip(runs, answers, strict=True)][-1]

    def _checked(self, run: Run, answer: Any) -> Any:
        """The answer, asked for once more where the server had lost the script."""
        if isinstance(answer, redis.exceptions.NoScriptError):
            return self._script(keys=run.keys, args=run.args)
        if isinstance(answer, Exception):
            raise answer
        return answer
