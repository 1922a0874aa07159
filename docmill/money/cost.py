"""What calls cost, what they may cost, and what a month of them will: pure, in exact Decimals.

Unknown is None, never zero. Where prices come from stands in :mod:`docmill.money.prices`.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import TypeAlias

from docmill.llm.types import Usage
from docmill.money.demand import coming_days
from docmill.money.prices import HOUR_EXTRA, SIMULATOR_PRICES, Price, Processing, correction, list_price
from docmill.storable import storable_count, storable_usd

__all__ = [
    "DAYS_A_MONTH",
    "Cost",
    "Forecast",
    "Load",
    "Spread",
    "ahead",
    "amount",
    "cost",
    "forecast",
    "worst_case",
]

Number: TypeAlias = int | float | str | Decimal
Quantity: TypeAlias = Number | Sequence[int | float | Decimal]
"""A number, or samples of it."""

MILLION = Decimal(1_000_000)
FINEST = Decimal("1e-10")
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a call cost, in USD, and whose price says so; None is unknown."""

    usd: Decimal | None
    source: str
    """``own``, ``simulator``, ``provider``, ``prices.toml``, ``genai-prices`` or ``unknown``."""


UNKNOWN = Cost(usd=None, source="unknown")


def cost(
    usage: Usage,
    *,
    provider: str,
    model: str,
    model_echoed: str | None = None,
    prices: Mapping[str, Price] | None = None,
    at: datetime | None = None,
    reported_usd: str | None = None,
    processing: Processing = "standard",
) -> Cost:
    """Computes what a call cost, to ten decimals.

    ``prices`` are the user's own, by model or by ``provider/model``, and win. The model is looked up as the
    provider echoed it, then as it was asked for, then without date or ``-latest``. ``at`` serves prices
    that change with the time of day. ``reported_usd`` is what the provider itself said (OpenRouter).
    Unknown tokens make an unknown cost wherever they have a price, and so do a batch whose price nobody told, and
    counts that cannot be: negative, no whole numbers, a part larger than its whole. Never raises for them.
    """
    reported = _reported(reported_usd)
    if not _makes_sense(usage):
        return UNKNOWN if reported is None else Cost(usd=reported, source="provider")
    names = list(_names(model, model_echoed))
    known = _known_price(provider, names, prices)
    if known is not None:
        price, source = known
        return _costs(_priced(usage, price, processing), source)
    if reported is not None:
        return Cost(usd=reported, source="provider")
    found = (_published(usage, provider, name, at, processing) for name in names)
    return next((each for each in found if each is not None), UNKNOWN)


def _known_price(
    provider: str, names: Sequence[str], prices: Mapping[str, Price] | None
) -> tuple[Price, str] | None:
    """The user's own price or the simulator's, which hold whatever else is said, and whose it is."""
    own = _first(prices or {}, [key for name in names for key in (f"{provider}/{name}", name)])
    if own is not None:
        return own, "own"
    simulated = _first(SIMULATOR_PRICES, names)
    return None if simulated is None else (simulated, "simulator")


def _published(usage: Usage, provider: str, name: str, at: datetime | None, processing: Processing) -> Cost | None:
    """The cost by a list, or by our correction of it; None where neither has the model."""
    corrected = correction(provider, name, processing)
    if corrected is not None:
        return _costs(_priced(usage, corrected), "prices.toml")
    listed = list_price(usage, provider, name, at, processing)
    if listed is None:
        return None
    return UNKNOWN if listed.usd is None else _costs(_fine(listed.usd), "genai-prices")


def _costs(usd: Decimal | None, source: str) -> Cost:
    """The cost by a price; one that no call has means that its tokens are wrong."""
    return Cost(usd=None if storable_usd(usd) is None else usd, source=source)


def _makes_sense(usage: Usage) -> bool:
    counts = vars(usage).values()
    if any(count is not None and storable_count(count) is None for count in counts):
        return False
    parts = (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
    fits = usage.input_tokens is None or parts <= usage.input_tokens
    fits = fits and (usage.cache_write_1h_tokens or 0) <= (usage.cache_write_tokens or 0)
    return fits and (usage.output_tokens is None or (usage.reasoning_tokens or 0) <= usage.output_tokens)


def _reported(usd: str | None) -> Decimal | None:
    """What the provider says, where it is an amount."""
    try:
        told = None if usd is None else storable_usd(Decimal(usd))
    except InvalidOperation:
        return None
    return None if told is None else _fine(told)


def worst_case(
    input_tokens: int,
    max_output_tokens: int,
    *,
    provider: str,
    model: str,
    prices: Mapping[str, Price] | None = None,
    at: datetime | None = None,
) -> Decimal | None:
    """The most that a call can cost in USD: nothing cached, or all of it read from a cache, or written to one, for
    five minutes or for an hour, and the whole output.

    docmill asks for five minutes, but a gateway may ask for more; and a price, a user's own or a list's, may have
    what is read from a cache dearer than what is not. None where the model has no known price.
    """
    fresh = Usage(input_tokens=input_tokens, output_tokens=max_output_tokens)
    known = _known_price(provider, list(_names(model, None)), prices)
    if known is not None:
        return _costs(_priced(fresh, _at_its_dearest(known[0])) if _makes_sense(fresh) else None, known[1]).usd
    written = replace(fresh, cache_write_tokens=input_tokens)
    usages = (
        fresh,
        replace(fresh, cached_tokens=input_tokens),
        written,
        replace(written, cache_write_1h_tokens=input_tokens),
    )
    each = [cost(usage, provider=provider, model=model, prices=prices, at=at).usd for usage in usages]
    return max((usd for usd in each if usd is not None), default=None)


def _at_its_dearest(price: Price) -> Price:
    """With all input at the highest of its prices."""
    each = (
        price.input_per_million,
        _or(price.cached_input_per_million, price.input_per_million),
        _or(price.cache_write_per_million, price.input_per_million),
        _for_an_hour(price),
    )
    return Price(input_per_million=max(each), output_per_million=price.output_per_million)


MOST_USD = Decimal(10**9)
"""No amount that a person means is larger."""


def amount(given: str) -> Decimal:
    """An amount in USD as a person writes it. Raises ValueError, saying what it is instead of an amount."""
    try:
        usd = Decimal(given.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise ValueError("no number") from error
    if not usd.is_finite():
        raise ValueError("no finite number")
    if usd < 0:
        raise ValueError("negative")
    if usd > MOST_USD:
        raise ValueError(f"above {MOST_USD:,}, which nobody spends")
    if usd != usd.quantize(FINEST, context=EXACT):
        raise ValueError("finer than ten decimals")
    return usd


_DATED = re.compile(r"(?:[-@](?:20\d{2}-?\d{2}-?\d{2}|\d{4})|[-:]latest)$")


def _names(model: str, echoed: str | None) -> Iterator[str]:
    asked = [name for name in (echoed, model) if name]
    plain = [name.removeprefix("models/") for name in asked]
    yield from dict.fromkeys([*asked, *plain, *(_DATED.sub("", name) for name in plain)])


def _first(prices: Mapping[str, Price], names: Sequence[str]) -> Price | None:
    return next((prices[name] for name in names if name in prices), None)


def _priced(usage: Usage, price: Price, processing: Processing = "standard") -> Decimal | None:
    """Tokens times price; a cached or written token is not counted as a fresh one again."""
    share = Decimal(1) if processing == "standard" else price.batch_share
    if share is None:
        return None
    if usage.input_tokens is None or (usage.output_tokens is None and price.output_per_million):
        return None
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    for_an_hour = usage.cache_write_1h_tokens or 0
    parts = (
        (usage.input_tokens - cached - written, price.input_per_million),
        (cached, _or(price.cached_input_per_million, price.input_per_million)),
        (written - for_an_hour, _or(price.cache_write_per_million, price.input_per_million)),
        (for_an_hour, _for_an_hour(price)),
        (usage.output_tokens or 0, price.output_per_million),
    )
    return _fine(share * sum((tokens * per_million / MILLION for tokens, per_million in parts), Decimal(0)))


def _for_an_hour(price: Price) -> Decimal:
    """Where none is told, never below the price of what is kept for five minutes."""
    brief = _or(price.cache_write_per_million, price.input_per_million)
    extra = max(brief - price.input_per_million, Decimal(0))
    return _or(price.cache_write_1h_per_million, brief + (HOUR_EXTRA - 1) * extra)


def _or(price: Decimal | None, otherwise: Decimal) -> Decimal:
    return otherwise if price is None else price


def _fine(usd: Decimal) -> Decimal:
    """Ten decimals, half to even, without the zeros at the end."""
    rounded = usd.quantize(FINEST, context=EXACT).normalize(EXACT)
    return Decimal(f"{rounded:f}")


# --- forecast ---

DAYS_A_MONTH = 30
P95 = statistics.NormalDist().inv_cdf(0.95)
DRAWS = 1000


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the models.

    ``requests_per_day``, ``input_tokens`` and ``output_tokens`` (both a request) are numbers, or samples:
    days seen, requests seen. Prices are USD per million tokens; rates are shares of the requests, from 0 to
    1 (a rate of retries may be larger). ``scale`` multiplies the requests.
    """

    requests_per_day: Quantity
    input_tokens: Quantity
    output_tokens: Quantity
    input_price: Number
    output_price: Number
    cache_hit_rate: Number = 0
    retry_rate: Number = 0
    """Further calls to the same model for each request that is not cached."""
    escalation_rate: Number = 0
    """Share of the requests that are not cached which go to a stronger model as well."""
    scale: Number = 1
    escalation_input_price: Number | None = None
    """The stronger model's price; None is the first model's, which understates what escalations cost."""
    escalation_output_price: Number | None = None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """USD: half of the times it is at most ``p50``, 95 times in a hundred at most ``p95``."""

    p50: Decimal
    p95: Decimal


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a load will cost a day and a month of 30 days."""

    day: Spread
    month: Spread
    formula: str
    """The sum as a person would write it."""


def forecast(load: Load, *, seed: int = 0) -> Forecast:
    """Returns what a load will cost; the same load and seed give the same figures.

    A request that is cached costs nothing. The others cost one call, and retries and escalations add calls.
    With a fixed number of requests the middle is the exact sum and P95 follows from the variance of a
    request (normal approximation, which is close from some tens of requests on). Samples of days are a history,
    in order and without gaps: the coming days are drawn from it with its weekdays, its drift and its bursts, and
    with what so many days leave uncertain (:mod:`docmill.money.demand`).

    Raises ValueError for numbers that are negative or not finite, and for rates that are no shares.
    """
    _check(load)
    request = _request(load)
    days = [_decimal(day) * _decimal(load.scale) for day in _samples(load.requests_per_day)]
    if len(set(days)) == 1:
        day, month = (_spread(request, days[0] * count) for count in (1, DAYS_A_MONTH))
    else:
        day, month = _drawn(request, days, seed)
    return Forecast(day=day, month=month, formula=_formula(load, _mean(days) * request.mean))


def ahead(load: Load, days: int, *, seed: int = 0) -> list[Spread]:
    """Returns what a load will have cost at the end of each of the coming days, summed from the first of them on.

    Raises ValueError as :func:`forecast` does.
    """
    _check(load)
    request = _request(load)
    seen = [_decimal(day) * _decimal(load.scale) for day in _samples(load.requests_per_day)]
    if len(set(seen)) == 1:
        return [_spread(request, seen[0] * count) for count in range(1, days + 1)]
    chance = random.Random(seed)  # noqa: S311 - figures that can be repeated, no secrets
    drawn = coming_days([float(day) for day in seen], days=days, draws=DRAWS, chance=chance)
    sums = [_summed(request, month, chance) for month in drawn]
    return [_quantiles(day) for day in zip(*sums, strict=True)]


def _summed(request: _Request, days: Sequence[float], chance: random.Random) -> list[float]:
    """What some days' requests will have cost after each of them."""
    cost_of_one = max(0.0, float(request.mean) * (1 + chance.gauss(0, request.uncertainty)))
    costs = (max(day * cost_of_one + chance.gauss(0, math.sqrt(day * request.variance)), 0.0) for day in days)
    return list(itertools.accumulate(costs))


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The cost of one request in USD: its mean, as the load has it, and its variance."""

    mean: Decimal
    variance: float
    uncertainty: float
    """Standard deviation of the mean as it is known from the samples, as a share of it."""


def _check(load: Load) -> None:
    for name in ("requests_per_day", "input_tokens", "output_tokens"):
        if not _samples(getattr(load, name)):
            raise ValueError(f"{name} has no samples: give a number, or at least one sample")
    for name, value in vars(load).items():
        numbers = [_decimal(number) for number in _samples(value)] if value is not None else []
        if any(not number.is_finite() or number < 0 for number in numbers):
            raise ValueError(f"{name} must be zero or more")
    for name in ("cache_hit_rate", "escalation_rate"):
        if _decimal(getattr(load, name)) > 1:
            raise ValueError(f"{name} is a share and must be from 0 to 1, as 0.25 for a quarter")


def _request(load: Load) -> _Request:
    """Mean and variance of a request: either cached, or a first call and perhaps a retry and an
    escalation."""
    first = _call(load, load.input_price, load.output_price)
    other = _call(load, *_escalation_prices(load))
    hit, retry, escalation = map(_decimal, (load.cache_hit_rate, load.retry_rate, load.escalation_rate))
    paid = first.mean * (1 + retry) + other.mean * escalation
    # Each call varies by its tokens, and each extra call by whether it happens; a retry rate above one call a
    # request is taken as a Poisson number, which below one it exceeds only a little.
    varies = float(1 + retry) * first.variance + float(retry) * float(first.mean) ** 2
    varies += float(escalation) * other.variance
    varies += float(escalation * (1 - escalation)) * float(other.mean) ** 2
    missed = float(1 - hit)
    variance = missed * varies + missed * float(hit) * float(paid) ** 2
    return _Request(mean=(1 - hit) * paid, variance=variance, uncertainty=first.uncertainty)


def _escalation_prices(load: Load) -> tuple[Number, Number]:
    asked, given = load.escalation_input_price, load.escalation_output_price
    return (load.input_price if asked is None else asked, load.output_price if given is None else given)


def _call(load: Load, input_price: Number, output_price: Number) -> _Request:
    """Mean and variance of one call; samples of the same length are of the same requests, one by one."""
    asked = [_decimal(tokens) * _decimal(input_price) / MILLION for tokens in _samples(load.input_tokens)]
    given = [_decimal(tokens) * _decimal(output_price) / MILLION for tokens in _samples(load.output_tokens)]
    if len(asked) == len(given):
        variance = _variance([one + other for one, other in zip(asked, given, strict=True)])
        of_mean = variance / len(asked)
    else:
        variance = _variance(asked) + _variance(given)
        of_mean = _variance(asked) / len(asked) + _variance(given) / len(given)
    mean = _mean(asked) + _mean(given)
    return _Request(mean=mean, variance=variance, uncertainty=math.sqrt(of_mean) / float(mean) if mean else 0.0)


def _spread(request: _Request, requests: Decimal) -> Spread:
    middle = requests * request.mean
    above = P95 * math.sqrt(float(requests) * request.variance)
    return Spread(p50=_fine(middle), p95=_fine(middle + _decimal(above)))


def _drawn(request: _Request, days: Sequence[Decimal], seed: int) -> tuple[Spread, Spread]:
    """Months as the days seen make them likely, each with the noise of its requests; a day is one of these."""
    chance = random.Random(seed)  # noqa: S311 - figures that can be repeated, no secrets
    drawn = coming_days([float(day) for day in days], days=DAYS_A_MONTH, draws=DRAWS, chance=chance)
    mean = float(request.mean)
    costs_a_day, costs_a_month = [], []
    for month in drawn:
        cost_of_one = max(0.0, mean * (1 + chance.gauss(0, request.uncertainty)))
        noise = chance.gauss(0, math.sqrt(math.fsum(month) * request.variance))
        costs_a_month.append(max(math.fsum(month) * cost_of_one + noise, 0.0))
        one_day = chance.choice(month)
        costs_a_day.append(
            max(one_day * cost_of_one + chance.gauss(0, math.sqrt(one_day * request.variance)), 0.0)
        )
    return _quantiles(costs_a_day), _quantiles(costs_a_month)


def _quantiles(draws: Sequence[float]) -> Spread:
    cuts = statistics.quantiles(draws, n=20, method="inclusive")
    return Spread(p50=_fine(_decimal(cuts[9])), p95=_fine(_decimal(cuts[18])))


def _formula(load: Load, a_day: Decimal) -> str:
    extra = f"1 + {_shown(load.retry_rate)} retries"
    escalated = f"{_shown(load.escalation_rate)} escalated"
    prices = _escalation_prices(load)
    if prices == (load.input_price, load.output_price):
        calls = f"({extra} + {escalated}) × {_shown_call(load, load.input_price, load.output_price)}"
    else:
        calls = (
            f"[({extra}) × {_shown_call(load, load.input_price, load.output_price)}"
            f" + {escalated} × {_shown_call(load, *prices)}]"
        )
    return (
        f"{_shown(load.requests_per_day)} requests a day × {_shown(load.scale)} scale"
        f" × (1 − {_shown(load.cache_hit_rate)} cached) × {calls}"
        f" = ${_rounded(a_day)} a day; × {DAYS_A_MONTH} days = ${_rounded(a_day * DAYS_A_MONTH)} a month"
    )


def _shown_call(load: Load, input_price: Number, output_price: Number) -> str:
    return (
        f"({_shown(load.input_tokens)} input tokens × ${_shown(input_price)}"
        f" + {_shown(load.output_tokens)} output tokens × ${_shown(output_price)}) / 1,000,000"
    )


def _shown(value: Quantity) -> str:
    samples = [_decimal(number) for number in _samples(value)]
    mean = _mean(samples)
    shown = f"{mean.quantize(Decimal('0.0001'), context=EXACT).normalize(EXACT):,f}"
    return shown if len(samples) == 1 else f"{shown} (mean of {len(samples)})"


def _rounded(usd: Decimal) -> str:
    """Cents, and below a dollar the digits after them that say something."""
    if usd >= 1 or usd == 0:
        return f"{usd.quantize(Decimal('0.01'), context=EXACT):,f}"
    digits = f"{usd.quantize(Decimal('0.000001'), context=EXACT).normalize(EXACT):f}"
    return digits if len(digits) > 4 else f"{Decimal(digits):.2f}"


def _samples(value: Quantity) -> Sequence[Number]:
    return [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)


def _decimal(number: Number) -> Decimal:
    """Exact for what a person wrote: 0.1 is a tenth. Raises ValueError for what is no number."""
    try:
        return number if isinstance(number, Decimal) else Decimal(str(number))
    except InvalidOperation as error:
        raise ValueError(f"{number!r} is no number") from error


def _mean(numbers: Sequence[Decimal]) -> Decimal:
    return EXACT.divide(sum(numbers, Decimal(0)), Decimal(len(numbers)))


def _variance(numbers: Sequence[Decimal]) -> float:
    return statistics.pvariance([float(number) for number in numbers])
