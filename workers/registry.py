"""The prompts that a process works with."""

from __future__ import annotations

import structlog

from docmill.errors import PromptBroken
from docmill.llm import tokens
from docmill.settings import Settings
from prompts import Registry
from prompts.registry import BUILT_IN

__all__ = ["registry_of", "warm_up"]

log = structlog.get_logger()


def registry_of(settings: Settings) -> Registry:
    """Opens the prompts that there are; the contents that jobs are pinned to are kept where all workers spool."""
    home = settings.spool / "prompts" if settings.spool is not None else None
    return Registry([BUILT_IN, *settings.prompt_folders], home=home)


def warm_up(registry: Registry) -> None:
    """Loads what the first hundred tasks would else load side by side."""
    tokens.load()
    for name in registry.names():
        for version in registry.versions(name):
            try:
                _ = registry.get(name, version).schema
            except PromptBroken as error:
                log.error("prompt_broken", error=str(error))
