"""Which prompts there are. Adding one is adding a folder: ``<name>/v<N>/`` with the five files of a version."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from docmill.errors import PromptBroken, PromptUnknown
from prompts.version import PromptVersion

__all__ = ["BUILT_IN", "Registry"]

BUILT_IN = Path(__file__).parent
RELEASED = "released.toml"
"""Beside the prompts: name/version = hash of its files, for those that must never change again."""
VERSION = re.compile(r"v([1-9]\d*)")


class Registry:
    """The prompts of some folders. Raises PromptBroken where two folders have a prompt of the same name."""

    def __init__(self, folders: Sequence[Path] = (BUILT_IN,)) -> None:
        self._folders = tuple(folders)
        self._prompts: dict[str, Path] = {}
        self._loaded: dict[tuple[str, str], PromptVersion] = {}
        for folder in self._folders:
            self._add(folder)

    def names(self) -> list[str]:
        """Those that are there now: a folder may have been removed."""
        return sorted(name for name, folder in self._prompts.items() if _versions(folder))

    def versions(self, name: str) -> list[str]:
        """The versions of a prompt, the oldest first. Raises PromptUnknown, also where its files were removed."""
        folder = self._folder(name)
        found = _versions(folder)
        if not found:
            raise PromptUnknown(f"prompt {name} was removed: {folder} holds no version any more; put it back")
        return found

    def get(self, name: str, version: str | None = None) -> PromptVersion:
        """A version of a prompt; without one, the highest that is no draft.

        Raises PromptUnknown with the nearest names, PromptBroken where its files do not load.
        """
        if version is not None:
            return self._load(name, version)
        for newest in reversed(self.versions(name)):
            prompt = self._load(name, newest)
            if not prompt.config.draft:
                return prompt
        raise PromptUnknown(f"prompt {name} has drafts alone: name one of {', '.join(self.versions(name))}")

    def check(self) -> list[str]:
        """What is wrong: files that do not load, and released versions whose files have changed."""
        return [problem for folder in self._folders for problem in self._check_released(folder)] + [
            problem
            for name in self.names()
            for version in self.versions(name)
            for problem in self._check(name, version)
        ]

    def _add(self, folder: Path) -> None:
        if not folder.is_dir():
            raise PromptBroken(f"there is no folder {folder}: mend DOCMILL_PROMPTS")
        for prompt in sorted(folder.iterdir()):
            if prompt.is_dir() and _versions(prompt):
                if prompt.name in self._prompts:
                    raise PromptBroken(f"{prompt} and {self._prompts[prompt.name]} have the same name: rename one")
                self._prompts[prompt.name] = prompt

    def _folder(self, name: str) -> Path:
        if name not in self._prompts:
            near = difflib.get_close_matches(name, self.names(), n=3) or self.names()
            raise PromptUnknown(f"there is no prompt {name!r}: did you mean {' or '.join(near)}?")
        return self._prompts[name]

    def _load(self, name: str, version: str) -> PromptVersion:
        loaded = self._loaded.get((name, version))
        if loaded is not None:
            return loaded
        known = self.versions(name)
        if version not in known:
            raise PromptUnknown(
                f"prompt {name} has no version {version!r}: it has {', '.join(known)} in {self._folder(name)}"
            )
        self._loaded[name, version] = PromptVersion(name, version, self._folder(name) / version)
        return self._loaded[name, version]

    def _check(self, name: str, version: str) -> list[str]:
        try:
            _ = self._load(name, version).schema  # it is made when first asked for, from files that may not load
        except PromptBroken as error:
            return [str(error)]
        return []

    def _check_released(self, folder: Path) -> list[str]:
        released = folder / RELEASED
        hashes = tomllib.loads(released.read_text(encoding="utf-8")) if released.exists() else {}
        return [problem for key, wanted in hashes.items() for problem in self._changed(key, wanted)]

    def _changed(self, key: str, wanted: str) -> list[str]:
        name, _, version = key.partition("/")
        try:
            found = self._load(name, version).content_hash.hex()
        except (PromptUnknown, PromptBroken) as error:
            return [f"{key} is released, but: {error}"]
        if found == wanted:
            return []
        return [f"{key} is released, and its files have changed: restore them, and make a new version"]


def _versions(prompt: Path) -> list[str]:
    try:
        found = [VERSION.fullmatch(entry.name) for entry in prompt.iterdir() if entry.is_dir()]
    except OSError:
        return []
    return [match[0] for match in sorted(filter(None, found), key=lambda match: int(match[1]))]
