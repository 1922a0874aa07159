"""Prompts: versioned files, one folder a prompt, one folder a version in it."""

from prompts.registry import Registry
from prompts.version import Excerpt, PromptVersion

__all__ = ["Excerpt", "PromptVersion", "Registry"]
