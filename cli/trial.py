"""``docmill try``: a prompt on a few documents, with all that is said. Unstored, but for what it cost."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, print_json
from cli.sources import files_in
from cli.submit import param_of
from cli.trial_told import print_beside, print_trial, trial_as_json
from docmill.errors import DocmillError, Misconfigured, PromptError, ServiceAway, Unreadable
from docmill.visible import visible, visible_lines

if TYPE_CHECKING:
    from db.jobs import Document
    from docmill.reading import Reader
    from docmill.settings import Settings
    from prompts import PromptVersion, Registry
    from tasks.services import Caller, Services
    from tasks.trial import Trial

__all__ = ["try_prompt"]

LOOK_EVERY_S = 0.3
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


def try_prompt(
    prompt: Annotated[str, typer.Argument(help="`docmill prompts list` shows them.")],
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files.")],
    version: Annotated[str | None, typer.Option(help="The newest, drafts included, without it.")] = None,
    against: Annotated[str | None, typer.Option(help="Another version, shown side by side.")] = None,
    model: Annotated[str | None, typer.Option(help="The only model that is asked, instead of the ladder.")] = None,
    param: Annotated[list[str], typer.Option(help="NAME=VALUE, for the prompt's template.")] = [],
    watch: Annotated[bool, typer.Option("--watch", help="Again whenever the prompt or a file changes.")] = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Ask a prompt about documents, and show the messages, the replies, the checks, the answer and its cost.

    It needs no stack, and stores no text. Where a stack runs, its limits and budgets hold, and its ledger has the
    calls, as feature `try`. Exits with 1 where one failed, with 3 where a person would have to look.
    """
    versions = [version] if against is None else [version, against]
    asked = Asked(
        prompt=prompt,
        versions=versions,
        files=list(files_in(files)),
        model=model,
        params=dict(map(param_of, param)),
        as_json=as_json,
    )
    with _kit(asked, data) as kit:
        if not watch:
            raise typer.Exit(_code(_tried(kit, asked)))
        _watch(kit, asked)


@contextmanager
def _kit(asked: Asked, data: Path | None) -> Iterator[Kit]:
    from docmill.logs import configure_commands_logs
    from docmill.reading import Reader
    from docmill.settings import load_settings
    from workers.registry import registry_of
    from workers.services import asking_services, open_caller

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


def _watch(kit: Kit, asked: Asked) -> None:
    """Until Ctrl-C. What cannot be tried is told, and waited for to be mended."""
    while True:
        seen = _state(kit, asked)
        try:
            _tried(kit, asked)
        except DocmillError as error:
            typer.echo(f"docmill: {visible_lines(str(error))}", err=True)
        if not asked.as_json:
            typer.echo("watching the prompt and the files; Ctrl-C ends it", err=True)
        try:
            while _state(kit, asked) == seen:
                time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            raise typer.Exit(0) from None


def _state(kit: Kit, asked: Asked) -> object:
    """Another one after each change of what is tried."""
    found: list[object] = []
    for version in asked.versions:
        try:
            found.append(_version(kit.registry, asked.prompt, version).content_hash)
        except PromptError as error:
            found.append(str(error))
    times = [(file, file.stat().st_mtime_ns if file.exists() else None) for file in asked.files]
    return found, times


def _version(registry: Registry, name: str, version: str | None) -> PromptVersion:
    return registry.get(name, version or registry.versions(name)[-1])


def _tried(kit: Kit, asked: Asked) -> list[Trial]:
    """Everything that was asked for, shown as it comes. Raises PromptError, Misconfigured."""
    from prompts.mistakes import Broken

    prompts = [_version(kit.registry, asked.prompt, version) for version in asked.versions]
    for told in _mistakes(kit, prompts):
        typer.echo(visible(told), err=True)
    prompts = [_with_model(prompt, asked.model) for prompt in prompts]
    trials = []
    try:
        for file in asked.files:
            trials += _on_file(kit, asked, prompts, file)
    except Broken as error:
        raise PromptError("\n".join(map(str, error.mistakes))) from error
    return trials


def _mistakes(kit: Kit, prompts: Sequence[PromptVersion]) -> list[str]:
    from prompts.checking import mistakes_of_version

    return [told for prompt in prompts for told in mistakes_of_version(prompt, kit.settings.models)]


def _with_model(prompt: PromptVersion, model: str | None) -> PromptVersion:
    if model is None:
        return prompt
    other = copy.copy(prompt)
    other.config = prompt.config.model_copy(update={"ladder": (model,)})
    return other


def _on_file(kit: Kit, asked: Asked, prompts: Sequence[PromptVersion], file: Path) -> list[Trial]:
    from tasks.trial import unread

    try:
        document = _read(kit, prompts, file)
    except Unreadable as error:
        trials = [unread(prompt, error) for prompt in prompts]
    else:
        trials = [_try(kit, prompt, document, asked.params) for prompt in prompts]
    for trial in trials:
        print_json(trial_as_json(file, trial)) if asked.as_json else print_trial(file, trial)
    if len(trials) > 1 and not asked.as_json:
        print_beside(file, trials)
    return trials


def _try(kit: Kit, prompt: PromptVersion, document: Document, params: Mapping[str, str]) -> Trial:
    from docmill.reading.drawn import DrawnPages
    from tasks.trial import try_on, unread

    drawn = DrawnPages(kit.reader)
    try:
        return try_on(kit.settings, kit.caller, prompt, document, params, drawn=drawn, services=kit.services)
    except Unreadable as error:
        return unread(prompt, error)


def _read(kit: Kit, prompts: Sequence[PromptVersion], file: Path) -> Document:
    """The document as stages read it, its scans by OCR, where that is on. Raises Unreadable."""
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


def _code(trials: Sequence[Trial]) -> int:
    states = {trial.state for trial in trials}
    return 1 if "failed" in states else 3 if "needs_review" in states else 0
