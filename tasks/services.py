"""What stages work with. Made in one place, ``workers/services.py``, and handed in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from db.database import Database
from db.jobs import Drive
from docmill.llm.cache import Cache, NoCache
from docmill.llm.limiter import Limiter, NoLimiter
from docmill.reading import Reader
from docmill.reading.drawn import DrawnPages
from docmill.settings import Settings
from docmill.tracing import Tracer
from prompts import Registry
from tasks.calls.room import Room
from tasks.outward import Caller, Telling
from tasks.stages.checking import Judge, judge
from tasks.times import StageTimes
from tasks.turns import Turns

__all__ = ["Caller", "Configured", "Hurry", "Services", "Telling"]


class Publisher(Protocol):
    """Sends chains to the broker."""

    def __call__(self, drives: Sequence[Drive]) -> None:
        """Publishes each job's chain from its drive's stage on. Raises PublishFailed."""


class Configured(Protocol):
    """Whatever has the settings."""

    @property
    def settings(self) -> Settings:
        """Those of the process."""


@dataclass(frozen=True, kw_only=True)
class Hurry:
    """What a short job takes at most in a process that has many of them in hand; else it takes the long way."""

    turn_s: float = 10.0
    """Until it is its turn to be read."""
    reads_s: float = 3.0
    begins: Callable[[], None] = lambda: None
    """Called when one is about to be read, so that who judges its reply gets ready meanwhile."""


@dataclass(kw_only=True)
class BudgetsSeen:
    """Whether there are budgets at all, as this process saw last. It saves statements, and decides nothing: the
    ledger opens no call that nobody asked a budget for, where there is one.
    """

    exist: bool = True


@dataclass(frozen=True, kw_only=True)
class Services:
    """The edges, for one process."""

    settings: Settings
    database: Database
    registry: Registry
    publish: Publisher
    owner: str
    """The process's name, in claims."""
    goes_on_with: Collection[str] = ()
    """The stages that this process goes on with at once, when it has ended the one before."""
    broker_began_anew: Callable[[], bool] = lambda: False
    """Whether the broker started since the fleet asked last (:func:`tasks.broker.began_anew`)."""
    owner_database: Database | None = None
    """As the role that owns the tables, where that is another (io)."""
    reader: Reader | None = None
    """Where files are read (cpu), short ones too (io), and pages drawn (api)."""
    hurry: Hurry | None = None
    """How long that may take, where many jobs share one reader (io); None: as long as the limits say."""
    pages: DrawnPages | None = None
    """Where pages are drawn for models (io)."""
    room: Room = field(default_factory=Room)
    """For the bytes of pictures that are under way to models (io)."""
    turns: Turns = field(default_factory=Turns)
    """Whose turn it is (cpu)."""
    judge: Judge = judge
    """Who says what a reply is worth; it may run a prompt's own code in a process apart."""
    tracer: Tracer | None = None
    """Who is told of each job's way; None for nobody."""
    times: StageTimes = field(default_factory=StageTimes)
    """How long stages take (io, cpu)."""
    cache: Cache = field(default_factory=NoCache)
    limiter: Limiter = field(default_factory=NoLimiter)
    budgets: BudgetsSeen = field(default_factory=BudgetsSeen)
    caller: Caller | None = None
    """Where models are called (io)."""
    telling: Telling | None = None
    """Where webhooks are told (io)."""

    @property
    def message_s(self) -> float:
        return self.settings.message_s

    @property
    def spool(self) -> Path:
        return self.settings.spool_folder
