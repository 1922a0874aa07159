"""What to simulate."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from docmill.errors import Misconfigured
from docmill.simulator.answers import Answers
from docmill.simulator.faults import FAULTS

__all__ = ["Settings"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Shares in ``faults`` are from 0 to 1, each drawn for itself by seed and request."""

    latency_ms: float = 0.0
    """The median."""
    latency_spread: float = 0.0
    """Sigma of the lognormal distribution around the median; 0 is constant."""
    context_window: int = 128_000
    """Tokens of input and output limit together."""
    api_key: str | None = None
    """None takes any key, or none."""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    window: Literal["second", "minute"] = "second"
    faults: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    answers: Answers | None = None
    """What is answered, instead of by rules; None answers by rules."""
    lazy: int | None = None
    """Items of a list beyond so many are left out of such an answer, without a word; None leaves out none."""

    def __post_init__(self) -> None:
        if self.lazy is not None and (self.answers is None or self.lazy < 0):
            raise Misconfigured(
                "--lazy N, with N from 0 on, is for answers out of a file: give --answers FILE, too"
            )
        for kind in self.faults:
            if kind not in FAULTS:
                raise Misconfigured(f"the simulator has no fault {kind!r}: it has {', '.join(FAULTS)}")

    def draw(self, *what: object) -> float:
        """A number in [0, 1) that the seed and ``what`` decide alone."""
        key = "/".join(str(part) for part in (self.seed, *what))
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:7]) / 2**56

    def latency_s(self, request: str) -> float:
        """Returns how long the answer to a request takes."""
        if not self.latency_spread:
            return self.latency_ms / 1000
        draw = min(max(self.draw("latency", request), 1e-9), 1 - 1e-9)
        spread = statistics.NormalDist(0, self.latency_spread).inv_cdf(draw)
        return self.latency_ms / 1000 * math.exp(spread)
