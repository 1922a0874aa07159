"""Whether a prompt can be answered here: its models configured, their keys there, its words within their windows.

Said before work is accepted, because a ladder's last model is asked for only when all others have failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from docmill.errors import Misconfigured, PromptError
from docmill.llm.tokens import counter_for
from docmill.llm.wire import wire_for
from docmill.llm.wire.schemas import closed, open_places
from docmill.settings import Models, ModelTable
from prompts.registry import Registry
from prompts.version import Excerpt, PromptVersion

__all__ = ["Unready", "may_show", "problems", "unready"]

MOST_TOLD = 1000
LEAST_ROOM = 64
"""Tokens for a document; a window that leaves fewer holds none."""


def unready(registry: Registry, models: Models) -> dict[str, str]:
    """By ``name/version``, what keeps a version from being answered. Those that do not load are left to
    :meth:`Registry.check`."""
    return Unready(registry=registry, models=models).now()


def _loadable(registry: Registry) -> Iterator[tuple[str, PromptVersion]]:
    for name in registry.names():
        for version in registry.versions(name):
            try:
                yield f"{name}/{version}", registry.get(name, version)
            except PromptError:
                continue


@dataclass(kw_only=True)
class Unready:
    """The same for as long as a process runs: files may change, and each content is looked at once."""

    registry: Registry
    models: Models
    _told: dict[tuple[str, bytes], str] = field(default_factory=dict, init=False)

    def now(self) -> dict[str, str]:
        """As :func:`unready`."""
        found = {key: self._of(prompt) for key, prompt in _loadable(self.registry)}
        return {key: told for key, told in found.items() if told}

    def _of(self, prompt: PromptVersion) -> str:
        key = (str(prompt), prompt.content_hash)
        if key not in self._told:
            if len(self._told) > MOST_TOLD:
                self._told.clear()
            try:
                self._told[key] = "; ".join(problems(prompt, self.models))
            except PromptError:
                self._told[key] = ""
        return self._told[key]


def problems(prompt: PromptVersion, models: Models, *, with_keys: bool = True) -> list[str]:
    """Returns what keeps the models of a prompt's ladder from answering it; each tells what to do.

    Without keys only what docmill.toml and the prompt say is looked at: some processes are given no secrets.
    Raises PromptError.
    """
    of_models = (_of_model(prompt, name, models, with_keys=with_keys) for name in prompt.config.ladder)
    return [*(told for found in of_models for told in found), *_of_sight(prompt, models)]


def may_show(prompt: PromptVersion, models: Models) -> bool:
    """Returns whether a prompt may show pages as pictures, so that one without a word is none the less read."""
    config = prompt.config
    return config.input.see != "text" and any(models.find(name).sees for name in config.ladder)


def _of_sight(prompt: PromptVersion, models: Models) -> Iterator[str]:
    """A prompt that shows pictures needs a model that takes them; one that may show text as well does not."""
    ladder = prompt.config.ladder
    if prompt.config.input.see in ("text", "auto") or not all(map(models.has, ladder)):
        return
    if not any(models.find(name).sees for name in ladder):
        yield (
            f"prompt {prompt} shows pages as pictures, and no model of its ladder ({', '.join(ladder)}) is known "
            "to take them: set images = true under [models.NAME] for one that does, or see = "
            '"auto" in its prompt.toml'
        )


def _of_model(prompt: PromptVersion, name: str, models: Models, *, with_keys: bool) -> Iterator[str]:
    try:
        model = models.find(name)
        if with_keys:
            models.get(name)
    except Misconfigured as error:
        yield f"prompt {prompt}: {error}"
        return
    yield from _of_window(prompt, name, model)
    yield from _of_schema(prompt, name, model)


def _of_window(prompt: PromptVersion, name: str, model: ModelTable) -> Iterator[str]:
    wanted = prompt.config.limits.max_output_tokens
    if model.max_output_tokens is not None and wanted > model.max_output_tokens:
        yield (
            f"prompt {prompt} wants answers of {wanted} tokens, and model {name} gives {model.max_output_tokens}: "
            f"lower limits.max_output_tokens in its prompt.toml, or mend max_output_tokens under [models.{name}]"
        )
    if model.context_tokens is None:
        return
    frame = counter_for(model.model).count_messages(prompt.render(Excerpt(passages=("",)), _any_params(prompt)))
    if model.context_tokens - wanted - frame < LEAST_ROOM:
        yield (
            f"prompt {prompt} does not fit model {name}: of its window of {model.context_tokens} tokens "
            f"the prompt takes {frame} and the answer {wanted}, and no document fits: "
            f"take {name} out of the ladder, lower limits.max_output_tokens, or mend context_tokens "
            f"under [models.{name}]"
        )


def _of_schema(prompt: PromptVersion, name: str, model: ModelTable) -> Iterator[str]:
    if model.structured != "schema" or not wire_for(model.provider).strict_schema:
        return
    for place in open_places(closed(prompt.schema))[:1]:
        yield (
            f"{model.provider} rejects the schema of prompt {prompt}: {place} is an object of any fields: "
            f'name its fields in output.py, or set structured = "json" under [models.{name}]'
        )


def _any_params(prompt: PromptVersion) -> dict[str, str]:
    return {name: param.default or "" for name, param in prompt.config.params.items()}
