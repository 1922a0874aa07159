"""``docmill try``: a prompt on a few documents, with all that is said. Unstored, but for what it cost."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.console import AsJson, Data, print_json
from cli.sources import files_in
from cli.submit import param_of
from cli.trial_kit import Asked, Kit, open_kit, read_document
from cli.trial_printing import print_beside, print_trial, trial_as_json
from docmill.errors import DocmillError, PromptError, Unreadable
from docmill.visible import visible, visible_lines

if TYPE_CHECKING:
    from db.jobs import Document
    from prompts import PromptVersion, Registry
    from tasks.trial import Trial

__all__ = ["try_prompt"]

LOOK_EVERY_S = 0.3


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
    with open_kit(asked, data) as kit:
        if not watch:
            raise typer.Exit(_code(_tried(kit, asked)))
        _watch(kit, asked)


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
        document = read_document(kit, prompts, file)
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
    from tasks.trial import try_on

    return try_on(kit.settings, kit.caller, prompt, document, params, reader=kit.reader, services=kit.services)


def _code(trials: Sequence[Trial]) -> int:
    states = {trial.state for trial in trials}
    return 1 if "failed" in states else 3 if "needs_review" in states else 0
