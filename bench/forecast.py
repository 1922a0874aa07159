"""How often a month costs at most what was forecast: months of loads that the forecast has not seen.

    .venv/bin/python -m bench.forecast [--months 200] [--seed 1] [--json]

Each month has a generator of its own: level, weekends, drift, bursts, the spread of its tokens, how many days were
seen before. The forecast is given the days and a sample of the calls that came before the month, as a ledger would
hold them, and nothing else. Good is: at most P95 in 90 to 99 months of a hundred, at most P50 in 40 to 60.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from docmill.money import Load, forecast

INPUT_USD, OUTPUT_USD = 0.15, 0.60
STRONGER = 10
SAMPLED_CALLS = 400
DAYS = 30


@dataclass(frozen=True, kw_only=True)
class World:
    """Where one month's requests come from."""

    level: float
    weekend: float
    drift_a_day: float
    wandering: float
    burst_share: float
    burst_size: float
    noise: float
    tokens_sigma: float
    hit: float
    retry: float
    escalation: float
    seen_days: int
    first_weekday: int

    @classmethod
    def drawn(cls, chance: random.Random) -> World:
        return cls(
            level=math.exp(chance.uniform(math.log(40), math.log(4000))),
            weekend=chance.choice([0.05, 0.3, 0.6, 1.0]),
            drift_a_day=chance.choice([0.0, chance.gauss(0, 0.006), chance.uniform(-0.01, 0.012)]),
            wandering=chance.choice([0.0, 0.0, 0.02]),
            burst_share=chance.choice([0.0, 0.02, 0.06]),
            burst_size=chance.uniform(1.5, 6),
            noise=chance.uniform(0.05, 0.35),
            tokens_sigma=chance.uniform(0.2, 0.9),
            hit=chance.uniform(0, 0.5),
            retry=chance.uniform(0, 0.15),
            escalation=chance.uniform(0, 0.12),
            seen_days=chance.choice([28, 42, 60, 90]),
            first_weekday=chance.randrange(7),
        )

    def days(self, chance: random.Random) -> list[int]:
        """Requests of the days seen and of the month after them."""
        wandered, burst, found = 0.0, 1.0, []
        for day in range(self.seen_days + DAYS):
            wandered += chance.gauss(0, self.wandering)
            # A burst lasts a day or some.
            burst = self.burst_size if chance.random() < self.burst_share else max(1.0, burst * 0.4)
            weekend = self.weekend if (day + self.first_weekday) % 7 >= 5 else 1.0
            mean = self.level * weekend * burst * math.exp(self.drift_a_day * day + wandered)
            mean *= math.exp(chance.gauss(0, self.noise) - self.noise**2 / 2)
            found.append(max(0, round(chance.gauss(mean, math.sqrt(mean)))))
        return found

    def tokens(self, chance: random.Random) -> tuple[int, int]:
        return round(chance.lognormvariate(7, self.tokens_sigma)), round(chance.lognormvariate(4.5, 0.4))


def cost_of(world: World, requests: int, chance: random.Random) -> float:
    """What so many requests come to, in USD; those of a busy day are drawn a hundred and scaled."""
    drawn = min(requests, 100)
    total = 0.0
    for _ in range(drawn):
        if chance.random() < world.hit:
            continue
        asked, given = world.tokens(chance)
        call = (asked * INPUT_USD + given * OUTPUT_USD) / 1e6
        total += call * (1 + (chance.random() < world.retry) + STRONGER * (chance.random() < world.escalation))
    return total * requests / drawn if drawn else 0.0


def one_month(chance: random.Random) -> tuple[bool, bool, float]:
    """Whether the month cost at most P50, at most P95, and how far P95 lies above P50."""
    world = World.drawn(chance)
    days = world.days(chance)
    sample = [world.tokens(chance) for _ in range(SAMPLED_CALLS)]
    seen = [_share(chance, share) for share in (world.hit, world.retry, world.escalation)]
    told = forecast(
        Load(
            requests_per_day=days[: world.seen_days],
            input_tokens=[asked for asked, _ in sample],
            output_tokens=[given for _, given in sample],
            input_price=INPUT_USD,
            output_price=OUTPUT_USD,
            cache_hit_rate=seen[0],
            retry_rate=seen[1],
            escalation_rate=seen[2],
            escalation_input_price=INPUT_USD * STRONGER,
            escalation_output_price=OUTPUT_USD * STRONGER,
        ),
        seed=chance.randrange(10**6),
    ).month
    actual = sum(cost_of(world, requests, chance) for requests in days[world.seen_days :])
    return actual <= told.p50, actual <= told.p95, float(told.p95 / told.p50)


def _share(chance: random.Random, share: float, calls: int = 2000) -> float:
    """A rate as a ledger of so many calls shows it."""
    return sum(chance.random() < share for _ in range(calls)) / calls


def measure(months: int, seed: int) -> dict[str, float]:
    found = [one_month(random.Random(f"{seed}/{month}")) for month in range(months)]
    return {
        "months": months,
        "at most P50": _mean([within for within, _, _ in found]),
        "at most P95": _mean([within for _, within, _ in found]),
        "P95 / P50, mean": _mean([width for _, _, width in found]),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--months", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {"seed": options.seed, **measure(options.months, options.seed)}
    if options.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<18}{value:>10.3f}")


if __name__ == "__main__":
    main()
