"""The models of ``docmill.toml``: what the ladders of prompts name, where each is and what it costs.

A secret stands in the environment alone; ``docmill.toml`` says in which variable.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from docmill.errors import Misconfigured
from docmill.explain import Place, explain
from docmill.llm.limits import Limits
from docmill.llm.sight import sees
from docmill.llm.types import Usage
from docmill.llm.wire import wire_for
from docmill.money.cost import Cost, cost
from docmill.money.prices import Price

__all__ = ["SIMULATED", "Config", "Model", "ModelTable", "Models", "read_config"]

DEFAULT_CONFIG = Path("docmill.toml")
SIMULATED = {"small": "sim-small", "large": "sim-large"}
"""What the ladder's names mean where ``docmill.toml`` says nothing."""
SIMULATOR_MODELS = frozenset({*SIMULATED.values(), "sim-text", "sim-embed"})


HOSTED = frozenset(
    {
        "anthropic",
        "azure",
        "deepseek",
        "gemini",
        "gemini-compat",
        "groq",
        "mistral",
        "openai",
        "openrouter",
        "together",
        "xai",
    }
)
"""Providers that answer nobody without a key."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _sensible_price(usd: Decimal) -> Decimal:
    """What a person can have meant. The dearest model costs hundreds of dollars, the cheapest some cents."""
    if usd > 10_000:
        raise ValueError("a price is USD for a million tokens, and none is above 10,000")
    if 0 < usd < Decimal("0.0001"):
        raise ValueError("a price is USD for a million tokens, and this looks like one for a single token")
    return usd


def _no_truth(value: object) -> object:
    """Python takes true for 1."""
    if isinstance(value, bool):
        raise ValueError("a price is a number, or a decimal in quotes")
    return value


PerMillion = Annotated[Decimal, Field(ge=0), BeforeValidator(_no_truth), AfterValidator(_sensible_price)]


class PriceTable(Strict):
    """USD for a million tokens; wins over every other source of prices."""

    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None
    cache_write: PerMillion | None = None
    """For what a provider's cache keeps for five minutes; None: what input costs."""
    cache_write_1h: PerMillion | None = None
    """For what it keeps for an hour; None: input, and four times what five minutes cost more than it."""
    batch: Decimal | None = Field(default=None, gt=0, le=1)
    """What a call in a batch costs of it, as 0.5 for half; None is unknown."""

    @property
    def price(self) -> Price:
        return Price(
            input_per_million=self.input,
            output_per_million=self.output,
            cached_input_per_million=self.cached_input,
            cache_write_per_million=self.cache_write,
            cache_write_1h_per_million=self.cache_write_1h,
            batch_share=self.batch,
        )


class ModelTable(Strict):
    """One table ``[models.NAME]`` of ``docmill.toml``; NAME is what the ladders of prompts say."""

    provider: str = "openai-compatible"
    model: str
    """The provider's own name."""
    base_url: str | None = None
    """None: DOCMILL_LLM_URL."""
    api_key_env: str | None = None
    """The environment variable that holds the key; None: DOCMILL_LLM_API_KEY."""
    account: str = "default"
    """Models of one account share its limits and its credit."""
    context_tokens: int | None = Field(default=None, gt=0)
    max_output_tokens: int | None = Field(default=None, gt=0)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    open_calls: int | None = Field(default=None, gt=0)
    """Calls that one tenant may have open at once in the whole fleet."""
    structured: Literal["schema", "json", "prompt"] = "schema"
    """How the answer's shape is asked for first; a model that rejects it is remembered."""
    images: bool | None = None
    """Whether it takes pictures of pages; None: as its name says, where that is known."""
    price: PriceTable | None = None

    @property
    def sees(self) -> bool | None:
        """Whether it takes pictures, before any was sent; None is unknown."""
        return sees(self.model, told=self.images)

    @field_validator("provider")
    @classmethod
    def provider_is_known(cls, provider: str) -> str:
        try:
            wire_for(provider)
        except Misconfigured as error:
            raise ValueError(str(error)) from error
        return provider


class Config(Strict):
    """What ``docmill.toml`` holds."""

    models: dict[str, ModelTable] = {}
    prices: dict[str, PriceTable] = {}
    """By the provider's name of a model, or ``provider/model``; what stands under a model itself goes before."""


class Model(Strict):
    """A model as it is called."""

    name: str
    """In ladders."""
    provider: str
    model: str
    base_url: str
    key: SecretStr | None
    account: str
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    open_calls: int | None = None
    structured: Literal["schema", "json", "prompt"] = "schema"
    images: bool | None = None
    prices: Mapping[str, Price] = Field(default_factory=dict, exclude=True)

    @property
    def must_be_listed(self) -> bool:
        """Whether the provider knows its models by name: local servers take any."""
        return self.model in SIMULATOR_MODELS or (self.provider in HOSTED and self.provider != "azure")

    @property
    def limits(self) -> Limits:
        """Its provider's limits, as docmill.toml has them."""
        return Limits(requests=self.requests_per_minute, tokens=self.tokens_per_minute, open_calls=self.open_calls)

    @property
    def limit_key(self) -> str:
        """What shares limits: a model of an account, an account being a credential at an address."""
        return f"{self.account}@{self.base_url}/{self.model}"


class Models:
    """Every model that a ladder may name."""

    def __init__(self, config: Config, *, base_url: str | None, key: SecretStr | None) -> None:
        self._tables = config.models
        self._prices = {name: table.price for name, table in config.prices.items()}
        self._base_url = base_url
        self._key = key
        self._ready: dict[str, Model] = {}

    def get(self, name: str) -> Model:
        """The model of that name, ready to be called.

        Raises Misconfigured where it is not configured, no address is known, or its key is missing.
        """
        if name not in self._ready:
            self._ready[name] = self._made(name)
        return self._ready[name]

    def _made(self, name: str) -> Model:
        table = self.find(name)
        base_url = table.base_url or self._base_url
        if base_url is None:
            raise Misconfigured(
                f"model {name} has no address: set DOCMILL_LLM_URL, "
                f"or base_url under [models.{name}] in docmill.toml"
            )
        return Model(
            name=name,
            base_url=base_url,
            key=self._key_of(name, table, base_url),
            prices=self.prices_of(table),
            **table.model_dump(exclude={"base_url", "api_key_env", "price"}),
        )

    def find(self, name: str) -> ModelTable:
        """Returns what is known of a model, reachable or not. Raises Misconfigured for an unknown one."""
        if name in self._tables:
            return self._tables[name]
        if name in SIMULATED or name in SIMULATOR_MODELS:
            return ModelTable(model=SIMULATED.get(name, name))
        near = difflib.get_close_matches(name, self.names(), n=1)
        raise Misconfigured(
            f"model {name} is not configured: add [models.{name}] to docmill.toml"
            + (f" (or did you mean {near[0]}?)" if near else "")
        )

    def has(self, name: str) -> bool:
        """Returns whether there is a model of that name."""
        return name in self._tables or name in SIMULATED or name in SIMULATOR_MODELS

    def configured(self) -> list[str]:
        """Those of docmill.toml; without it, what the simulator's ladder has."""
        return sorted(self._tables or SIMULATED)

    def prices_of(self, table: ModelTable) -> Mapping[str, Price]:
        """The user's own prices, by model; the model's own under its provider's name as well."""
        if table.price is None:
            return self._prices
        price = table.price.price
        return {**self._prices, table.model: price, f"{table.provider}/{table.model}": price}

    def cost(self, table: ModelTable, usage: Usage) -> Cost:
        """Computes what a call of a model costs, by the same prices as one that was made."""
        return cost(usage, provider=table.provider, model=table.model, prices=self.prices_of(table))

    def key_variables(self) -> set[str]:
        """Names the variables of the environment that hold models' keys, beside ``DOCMILL_LLM_API_KEY``."""
        return {table.api_key_env for table in self._tables.values() if table.api_key_env is not None}

    def askable(self) -> Iterator[Model]:
        """Every model that can be asked; one without an address or a key is left out."""
        for name in self.names():
            with suppress(Misconfigured):
                yield self.get(name)

    def names(self) -> list[str]:
        return sorted({*self._tables, *SIMULATED})

    def _key_of(self, name: str, table: ModelTable, base_url: str) -> SecretStr | None:
        if table.api_key_env is None:
            if self._key is None and table.provider in HOSTED and not _is_loopback(base_url):
                raise Misconfigured(
                    f"model {name} has no key for {table.provider}: set DOCMILL_LLM_API_KEY, "
                    f"or name its variable with api_key_env under [models.{name}]"
                )
            return self._key
        key = os.environ.get(table.api_key_env)
        if not key:
            raise Misconfigured(f"[models.{name}] takes its key from {table.api_key_env}, which is not set")
        return SecretStr(key)


def read_config(path: Path | None) -> Config:
    """Reads ``docmill.toml``; without one named, that of the present folder, which may be missing.

    Raises Misconfigured, naming the place in the file.
    """
    file = path or DEFAULT_CONFIG
    try:
        return Config.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        if path is None:
            return Config()
        raise Misconfigured(f"DOCMILL_CONFIG names {file}, which does not exist") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        raise Misconfigured(f"{file}: {explain(error, known_at=_names_at)}") from error


def _names_at(place: Place) -> Sequence[str]:
    """The names of the table of docmill.toml that a name stands in."""
    if len(place) == 1:
        return list(Config.model_fields)
    table = ModelTable if place[0] == "models" and len(place) == 3 else PriceTable
    return list(table.model_fields)


def _is_loopback(base_url: str) -> bool:
    host = urlsplit(base_url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
