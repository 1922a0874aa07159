"""With what ``docmill try`` tries a prompt: a stack that runs, or models without one, or a simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from docmill.errors import Misconfigured, PromptError, ServiceAway, Unreadable
from docmill.visible import visible

if TYPE_CHECKING:
    from db.jobs import Document
    from docmill.reading import Reader
    from docmill.settings import Settings
    from prompts import PromptVersion, Registry
    from tasks.services import Caller, Services

__all__ = ["Asked", "Kit", "open_kit", "read_document"]

SIMULATED = "No provider is set: a simulator answers. It has rules over the text, and no language model."


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is tried, on which files."""

    prompt: str
    versions: Sequence[str | None]
    """One, or two side by side; None is the newest, drafts included."""
    files: Sequence[Path]
    model: str | None
    params: Mapping[str, str]
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Kit:
    """What it is tried with."""

    settings: Settings
    registry: Registry
    caller: Caller
    services: Services | None
    """Of the stack that runs, if one does: its limits, its budgets, its ledger."""
    reader: Reader


@contextmanager
def open_kit(asked: Asked, data: Path | None) -> Iterator[Kit]:
    """Opens the stack that runs, or what does without one, and closes it. Raises Misconfigured."""
    from docmill.logs import configure_commands_logs
    from docmill.reading import Reader
    from docmill.settings import load_settings
    from workers.clients import open_caller
    from workers.registry import registry_of
    from workers.services import asking_services

    configure_commands_logs()
    with ExitStack() as stack:
        settings = _stack_settings(data)
        services = None
        if settings is not None:
            try:
                services = stack.enter_context(asking_services(settings, owner="try"))
            except ServiceAway as error:
                typer.echo(f"what it costs will stand in no ledger: {visible(str(error))}", err=True)
        if settings is None or services is None:
            settings = load_settings()
        registry = registry_of(settings)
        caller = services.caller if services is not None else None
        caller = caller or stack.enter_context(open_caller())
        if _needs_simulator(settings, registry, asked):
            settings = load_settings(llm_url=_simulate(stack, caller))
            services = None
            if not asked.as_json:
                typer.echo(SIMULATED, err=True)
        reader = stack.enter_context(Reader(settings.reading_limits))
        yield Kit(settings=settings, registry=registry, caller=caller, services=services, reader=reader)


def _stack_settings(data: Path | None) -> Settings | None:
    """Those of the stack that runs; None where none does. Raises Misconfigured for a folder that was named."""
    from workers.stack.addresses import settings_of

    try:
        return settings_of(data)
    except Misconfigured:
        if data is not None:
            raise
        return None


def _needs_simulator(settings: Settings, registry: Registry, asked: Asked) -> bool:
    """Whether a model that may be asked has no address."""
    if settings.llm_url is not None:
        return False
    names = [asked.model] if asked.model else _ladder(registry, asked.prompt)
    return any(settings.models.find(name).base_url is None for name in names)


def _ladder(registry: Registry, prompt: str) -> Sequence[str]:
    try:
        return registry.get(prompt, registry.versions(prompt)[-1]).config.ladder
    except PromptError:
        return ("small",)  # what is wrong with it is told when it is tried


def _simulate(stack: ExitStack, caller: Caller) -> str:
    from docmill.simulator import Simulator

    simulator = Simulator()
    caller.loop.run(simulator.__aenter__())
    stack.callback(lambda: caller.loop.run(simulator.__aexit__(None, None, None)))
    return simulator.url


def read_document(kit: Kit, prompts: Sequence[PromptVersion], file: Path) -> Document:
    """Reads the document as stages do, its scans by OCR, where that is on. Raises Unreadable."""
    from db.jobs import Document
    from docmill.reading.layout.geometry import pack
    from prompts.readiness import may_show

    may_be_seen = any(may_show(prompt, kit.settings.models) for prompt in prompts)
    scanned = kit.settings.ocr != "off"
    limits = replace(kit.settings.reading_limits, ocr=scanned, leave_scans=scanned or may_be_seen)
    reading = kit.reader.read(file, limits=limits)
    if reading.empty and not (may_be_seen and reading.pages):
        raise Unreadable("empty", reading.warning or "there is no text in it")
    return Document(
        id=0,
        name=file.name,
        media_type=reading.media_type,
        body=file.read_bytes(),
        text=reading.text,
        pages=reading.pages,
        layout=pack(reading.layout) if reading.layout else None,
    )
