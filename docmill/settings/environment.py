"""The settings: the only reader of the environment. Every name begins with ``DOCMILL_``."""

from __future__ import annotations

import os
import re
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from docmill.errors import Misconfigured
from docmill.explain import explain
from docmill.net.sealing import Seal
from docmill.net.webhook import check_address
from docmill.reading.values import Limits as ReadingLimits
from docmill.reading.values import OcrEngine
from docmill.settings.models import Models, read_config

__all__ = ["Settings", "load_settings"]

ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?", re.ASCII)
OCR_PAGE_S = 30.0
"""Within which a page is read by OCR: its task ends after 45 s, and a slice takes ten before it."""


class Settings(BaseSettings):
    """docmill's settings; each is an environment variable with the prefix ``DOCMILL_``."""

    model_config = SettingsConfigDict(env_prefix="DOCMILL_", frozen=True, env_ignore_empty=True, extra="ignore")

    database_url: str | None = None
    """PostgreSQL with pgvector; `docmill up` brings one where it is not set."""
    database_owner_url: str | None = None
    """As the role that owns the tables: for migrations and indexes. None: the same as all else."""
    broker_url: str | None = None
    """Redis, Valkey (`redis://`) or RabbitMQ (`amqp://`); as above."""
    cache_url: str | None = None
    """Redis or Valkey, for cached answers and shared limits: another server than the broker's; as above."""
    database_password: SecretStr | None = None
    """Put into the address that holds none, so that it needs no quoting there."""
    database_owner_password: SecretStr | None = None
    """As above."""
    broker_password: SecretStr | None = None
    """As above."""
    cache_password: SecretStr | None = None
    """As above."""
    llm_url: str | None = None
    """The provider's address, for models of docmill.toml without a `base_url`."""
    llm_api_key: SecretStr | None = None
    """The key for models without an `api_key_env`."""
    config: Path | None = None
    """Where `docmill.toml` is: models, accounts, prices. None: in the folder of the process."""
    prompts: str = ""
    """Folders of prompts beside the built-in ones, parted as in PATH."""
    embedding: str = "wordllama"
    """The embedding model of new collections: `wordllama` needs no network; else a name as in ladders."""
    ocr: Literal["on", "off", "tesseract"] = "on"
    """Whether the text of pictures and scanned pages is guessed: by RapidOCR, or by tesseract, if installed; an
    `ocr` worker does it."""
    fetch_hosts: str = ""
    """Hosts, parted by commas, that documents may be fetched from although they are not public."""
    timezone: str = "UTC"
    """In which a day of budgets and reports is a day."""
    data: Path | None = None
    """The folder of `docmill up`; None: one in the user's home, /var/lib/docmill for root."""
    spool: Path | None = None
    """Where replies wait that could not be stored: one folder for all workers. None: below the data folder."""
    keep_exchanges_days: float | None = Field(default=None, gt=0)
    """Days that messages to models and their replies are kept after they were sent; None: for ever."""
    call_deadline_s: float = Field(default=60.0, gt=0, le=900)
    """Seconds for one whole call to a model."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What is done about a model without a known price where a budget covers the job. The budget could not keep to
    its cap, so the call is refused; or it is allowed, outside of all budgets."""
    budget_webhook: SecretStr | None = None
    """An address that is told when a budget is nearly spent, and when it is spent."""
    webhook_key: SecretStr | None = None
    """Encrypts what webhooks' messages are signed with; `docmill webhooks key` makes one. Several are parted by
    commas, the new one first. `docmill up` makes one, in the data folder."""
    webhook_hosts: str = ""
    """Hosts, parted by commas, that a webhook may be at although they are not public."""
    picture_bytes: int = Field(default=48 * 2**20, ge=2**20)
    """Bytes of pictures that one io worker has under way to models at once, as files; a call waits for room."""
    io_threads: int = Field(default=100, gt=0)
    """Calls that one io worker has open at once."""
    ocr_processes: int = Field(default=1, gt=0)
    """Processes of one ocr worker: each reads a page at a time, by one core and at most a gigabyte."""
    ocr_within_s: float = Field(default=3600.0, gt=0)
    """Seconds that OCR of one document may take; what is not read by then is told."""
    cpu_processes: int = Field(default=2, gt=0)
    """Processes of one cpu worker, which read and parse."""
    task_events: bool = True
    """Whether workers tell Flower what they do."""
    api_host: str = "127.0.0.1"
    """Beyond loopback, callers need keys."""
    metrics_key: SecretStr | None = None
    """Opens `/metrics` to who shows it as a bearer. None: keys with the scope `operate` do, beyond loopback."""
    api_port: int | None = None
    """None takes a free one."""
    trusted_proxies: str = ""
    """Addresses or networks, parted by commas, of proxies before the API. What they forward of TLS and of the host
    is believed, so that a browser can sign in."""
    cors_origins: str = ""
    """Web sites, parted by commas, whose scripts may ask `/v1/` with a key of their own, as `https://app.example`."""
    flower_port: int | None = None
    """As `api_port`, for Flower."""
    flower_password: SecretStr | None = None
    """For the user `docmill`; None makes one, in the data folder."""
    traces_url: str | None = None
    """An OpenTelemetry collector (`http://collector:4318`) that is told of each job's trace. None: nothing is
    traced. Needs the extra `otel`."""
    trace_content: bool = False
    """Whether traces hold messages and replies too, which are documents' texts."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is said, and never a document's text, a reply or a key, at any level."""
    log_json: bool | None = None
    """None: JSON unless it goes to a terminal."""

    @model_validator(mode="before")
    @classmethod
    def addresses_have_their_passwords(cls, given: dict[str, Any]) -> dict[str, Any]:
        found = dict(given)
        for name in ("database", "database_owner", "broker", "cache"):
            url, password = given.get(f"{name}_url"), given.get(f"{name}_password")
            if isinstance(password, SecretStr):
                password = password.get_secret_value()
            if isinstance(url, str) and isinstance(password, str) and password:
                found[f"{name}_url"] = ";".join(_with_password(each, password) for each in url.split(";"))
        return found

    @field_validator("timezone")
    @classmethod
    def timezone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {name!r}; one is Europe/Berlin") from error
        return name

    @field_validator("trusted_proxies")
    @classmethod
    def proxies_are_addresses(cls, listed: str) -> str:
        for each in filter(None, (part.strip() for part in listed.split(","))):
            try:
                ip_network(each)
            except ValueError as error:
                raise ValueError(f"{each!r} is neither an address nor a network, as 10.0.0.0/8 is one") from error
        return listed

    @field_validator("cors_origins")
    @classmethod
    def origins_are_sites(cls, listed: str) -> str:
        for each in filter(None, (part.strip() for part in listed.split(","))):
            if not ORIGIN.fullmatch(each):
                raise ValueError(f"{each!r} is no origin of a web site, as https://app.example is one")
        return listed

    @field_validator("broker_url", "cache_url", "llm_url", "traces_url")
    @classmethod
    def address_is_one(cls, url: str | None) -> str | None:
        """Whoever uses it would fall over it with a trace, which shows its password."""
        try:
            for each in (url or "").split(";"):
                _ = urlsplit(each).port
        except ValueError as error:
            raise ValueError("is no address, as redis://user:password@host:6379/0 is one") from error
        return url

    @model_validator(mode="after")
    def webhook_may_be_called(self) -> Self:
        if self.budget_webhook is not None:
            try:
                check_address(self.budget_webhook.get_secret_value(), private_hosts=self.private_webhook_hosts)
            except Misconfigured as error:
                raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def webhook_key_is_one(self) -> Self:
        if self.webhook_key is not None:
            try:
                _ = self.webhook_seal
            except Misconfigured as error:
                raise ValueError(str(error)) from error
        return self

    @property
    def webhook_seal(self) -> Seal:
        """What opens the secrets of webhooks. Raises Misconfigured where there is no key."""
        if self.webhook_key is None:
            raise Misconfigured("DOCMILL_WEBHOOK_KEY is not set: `docmill webhooks key` makes one")
        return Seal(self.webhook_key.get_secret_value())

    @property
    def reading_limits(self) -> ReadingLimits:
        engine: OcrEngine = "tesseract" if self.ocr == "tesseract" else "rapidocr"
        return ReadingLimits(leave_scans=self.ocr != "off", ocr_engine=engine, ocr_timeout_s=OCR_PAGE_S)

    @property
    def private_webhook_hosts(self) -> frozenset[str]:
        return _hosts(self.webhook_hosts)

    @property
    def private_fetch_hosts(self) -> frozenset[str]:
        return _hosts(self.fetch_hosts)

    @cached_property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The proxies that are believed."""
        return tuple(ip_network(each.strip()) for each in self.trusted_proxies.split(",") if each.strip())

    @property
    def origins(self) -> tuple[str, ...]:
        """The web sites whose scripts may ask, each as a browser names it."""
        return tuple(_as_browsers_say(each.strip()) for each in self.cors_origins.split(",") if each.strip())

    @property
    def prompt_folders(self) -> tuple[Path, ...]:
        return tuple(Path(folder) for folder in self.prompts.split(os.pathsep) if folder)

    @property
    def spool_folder(self) -> Path:
        return self.spool or Path("spool")

    @property
    def message_s(self) -> float:
        """How long a message may be under way before somebody looks at its job."""
        return max(60.0, 2 * self.call_deadline_s)

    @property
    def lease_s(self) -> float:
        """How long an open call is taken for alive."""
        return self.call_deadline_s + 30.0

    @cached_property
    def models(self) -> Models:
        """Raises Misconfigured where ``docmill.toml`` cannot be used."""
        return Models(read_config(self.config), base_url=self.llm_url, key=self.llm_api_key)

    @property
    def owner_url(self) -> str:
        """The database's address for what changes tables. Raises Misconfigured where none is known."""
        return self.database_owner_url or self.need("database_url")

    def need(self, name: Literal["database_url", "broker_url", "cache_url"]) -> str:
        """An address that must be known. Raises Misconfigured."""
        value: str | None = getattr(self, name)
        if value is None:
            raise Misconfigured(
                f"DOCMILL_{name.upper()} is not set: set it, or start everything with `docmill up` "
                f"and name its data folder with --data"
            )
        return value


def _with_password(url: str, password: str) -> str:
    scheme, there, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    if not there or ":" in login:
        return url
    return f"{scheme}://{login}:{quote(password, safe='')}@{host if at else rest}"


def _hosts(listed: str) -> frozenset[str]:
    return frozenset(host.strip().lower() for host in listed.split(",") if host.strip())


def load_settings(**overrides: object) -> Settings:
    """Settings from the environment. Raises Misconfigured, naming the variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type] # checked by pydantic
    except ValidationError as error:
        raise Misconfigured(f"settings: {explain(error, prefix='DOCMILL_')}") from error


def _as_browsers_say(origin: str) -> str:
    """The origin without the port that its scheme has anyway."""
    scheme, _, _ = origin.partition("://")
    return origin.removesuffix(":443" if scheme == "https" else ":80")
