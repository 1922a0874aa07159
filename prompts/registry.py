"""Which prompts there are. Adding one is adding a folder: ``<name>/v<N>/`` with the five files of a version."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from docmill.errors import PromptBroken, PromptError, PromptUnknown
from prompts.mistakes import Broken, Mistake, line_of_key, of_toml
from prompts.version import FILES, PromptVersion

__all__ = ["BUILT_IN", "Registry"]

BUILT_IN = Path(__file__).parent
RELEASED = "released.toml"
"""Beside the prompts: name/version = hash of its files, for those that must never change again."""
VERSION = re.compile(r"v([1-9]\d*)")
NO_PROMPTS = re.compile(r"[._]")
"""What the names of folders begin with that hold no prompt."""


class Registry:
    """The prompts of some folders, looked up when they are asked for: one that is broken breaks no other.

    Raises PromptBroken where a folder is not there.
    """

    def __init__(self, folders: Sequence[Path] = (BUILT_IN,)) -> None:
        self.folders = tuple(folders)
        self._loaded: dict[tuple[str, str], PromptVersion] = {}
        for folder in self.folders:
            if not folder.is_dir():
                raise PromptBroken(f"there is no folder {folder}: mend DOCMILL_PROMPTS")

    def names(self) -> list[str]:
        """Those that are there now."""
        return sorted({entry.name for folder in self.folders for entry in _folders_in(folder) if _versions(entry)})

    def versions(self, name: str) -> list[str]:
        """The versions of a prompt, the oldest first. Raises PromptUnknown, also where its files were removed."""
        return _versions(self._folders_of(name)[0])

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
        raise PromptUnknown(
            f"prompt {name} has drafts alone: name one of {', '.join(self.versions(name))}, "
            f"or take `draft = true` out of its prompt.toml"
        )

    def check(self) -> list[str]:
        """What is wrong: files that do not load, and released versions whose files have changed."""
        return [*map(str, self.misplaced()), *self._unloaded()]

    def folder_of(self, name: str) -> Path:
        """Where a prompt lies. Raises PromptUnknown; PromptBroken where two folders have the name."""
        found = self._folders_of(name)
        if len(found) > 1:
            raise PromptBroken(f"{found[1]} and {found[0]} have the same name: rename one")
        return found[0]

    def misplaced(self) -> Iterator[Mistake]:
        """What lies astray where prompts are looked for, and what is not as it was released."""
        for folder in self.folders:
            yield from self._of_released(folder)
            if VERSION.fullmatch(folder.name) or _versions(folder):
                told = "this is one prompt: name the folder that it lies in, in DOCMILL_PROMPTS"
                yield Mistake(file=folder, told=told)
            for entry in _folders_in(folder):
                yield from _of_layout(entry)

    def _unloaded(self) -> Iterator[str]:
        for name in self.names():
            for version in self.versions(name):
                try:
                    _ = self._load(name, version).schema  # made when first asked for, from files that may not load
                except PromptError as error:
                    yield str(error)

    def _folders_of(self, name: str) -> list[Path]:
        found = [folder / name for folder in self.folders if _is_plain(name) and _versions(folder / name)]
        if not found:
            raise PromptUnknown(self._unknown(name))
        return found

    def _unknown(self, name: str) -> str:
        looked = ", ".join(map(str, self.folders))
        remedy = (
            "mend DOCMILL_PROMPTS" if len(self.folders) > 1 else "set DOCMILL_PROMPTS to the folder of your own"
        )
        for folder in self.folders:
            astray = list(_of_layout(folder / name)) if _is_plain(name) else []
            if astray:
                return f"there is no prompt {name!r}: {astray[0]}"
        near = difflib.get_close_matches(name, self.names(), n=3)
        meant = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(self.names())}."
        return f"there is no prompt {name!r}: {meant} Looked into {looked}; {remedy}"

    def _load(self, name: str, version: str) -> PromptVersion:
        loaded = self._loaded.get((name, version))
        if loaded is not None:
            return loaded
        folder = self.folder_of(name)
        known = _versions(folder)
        if version not in known:
            raise PromptUnknown(f"prompt {name} has no version {version!r}: it has {', '.join(known)} in {folder}")
        self._loaded[name, version] = PromptVersion(name, version, folder / version)
        return self._loaded[name, version]

    def _of_released(self, folder: Path) -> Iterator[Mistake]:
        file = folder / RELEASED
        try:
            text, hashes = _released(file)
        except Broken as error:
            yield from error.mistakes
            return
        for key, wanted in hashes.items():
            told = self._changed(key, wanted)
            if told:
                yield Mistake(file=file, line=line_of_key(text, (key,)), told=told)

    def _changed(self, key: str, wanted: str) -> str | None:
        name, _, version = key.partition("/")
        try:
            found = self._load(name, version).content_hash.hex()
        except PromptError as error:
            return f"{key} is released, but: {error}"
        if found == wanted:
            return None
        return f"{key} is released, and its files have changed: restore them, and make a new version"


def _released(file: Path) -> tuple[str, Mapping[str, str]]:
    """The file's text, and the hashes by name/version. Raises Broken."""
    if not file.exists():
        return "", {}
    try:
        text = file.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise Broken([Mistake(file=file, told=f"it cannot be read ({error}): mend it")]) from error
    except tomllib.TOMLDecodeError as error:
        raise Broken([of_toml(file, text, error)]) from error


def _is_plain(name: str) -> bool:
    """Whether a name is that of a folder right here, and leads nowhere else."""
    return bool(name) and not NO_PROMPTS.match(name) and "/" not in name and "\0" not in name and len(name) <= 255


def _folders_in(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not NO_PROMPTS.match(entry.name))
    except OSError:
        return []


def _versions(prompt: Path) -> list[str]:
    found = [VERSION.fullmatch(entry.name) for entry in _folders_in(prompt)]
    return [match[0] for match in sorted(filter(None, found), key=lambda match: int(match[1]))]


def _of_layout(prompt: Path) -> Iterator[Mistake]:
    """Files of a prompt that no version has."""
    for file in FILES:
        if (prompt / file).is_file():
            yield Mistake(file=prompt / file, told=f"it is in no version: move it into {prompt / 'v1'}")
    for entry in _folders_in(prompt):
        if not VERSION.fullmatch(entry.name) and any((entry / file).is_file() for file in FILES):
            digits = "".join(re.findall(r"\d", entry.name)).lstrip("0")
            yield Mistake(file=entry, told=f"a version is called v1, v2 and so on: rename it to v{digits or 1}")
