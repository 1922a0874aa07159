"""Which prompts there are. Adding one is adding a folder: ``<name>/v<N>/`` with the five files of a version."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from docmill.errors import ContentMissing, PromptBroken, PromptError, PromptUnknown
from prompts.contents import SETTLED_S, Look, age_s, keep, kept, look_at, signature_of_file
from prompts.mistakes import Broken, Mistake, line_of_key, of_toml
from prompts.version import FILES, PromptVersion

__all__ = ["BUILT_IN", "Registry"]

BUILT_IN = Path(__file__).parent
RELEASED = "released.toml"
"""Beside the prompts: name/version = hash of its files, for those that must never change again."""
VERSION = re.compile(r"v([1-9]\d*)")
CHANGED = "{key} is released, and its files have changed: restore them, and make a new version"
MOST_CONTENTS = 256
"""Of prompts, that a process remembers."""
NO_PROMPTS = re.compile(r"[._]")
"""What the names of folders begin with that hold no prompt."""


@dataclass(frozen=True)
class Place:
    """Where a prompt lies, and its versions, the oldest first."""

    folder: Path
    versions: list[str]


class Registry:
    """The prompts of some folders, looked up when they are asked for: one that is broken breaks no other.

    A version is what its files hold now, unless it is released. A job is pinned to a content by its hash, which is
    kept in ``home``, one folder for all who work on the same jobs. Safe for threads. Raises PromptBroken where a
    folder is not there.
    """

    def __init__(self, folders: Sequence[Path] = (BUILT_IN,), *, home: Path | None = None) -> None:
        self.folders = tuple(folders)
        self.home = home
        self._looks: dict[tuple[str, str], Look] = {}
        self._releases_seen: dict[Path, tuple[object, Mapping[str, str]]] = {}
        self._contents: OrderedDict[tuple[str, str, bytes], PromptVersion] = OrderedDict()
        self._lock = Lock()
        for folder in self.folders:
            if not folder.is_dir():
                raise PromptBroken(f"there is no folder {folder}: mend DOCMILL_PROMPTS")

    def names(self) -> list[str]:
        """Those that are there now."""
        return sorted({entry.name for folder in self.folders for entry in _folders_in(folder) if _versions(entry)})

    def versions(self, name: str) -> list[str]:
        """The versions of a prompt, the oldest first. Raises PromptUnknown, also where its files were removed."""
        return self._places_of(name)[0].versions

    def get(self, name: str, version: str | None = None) -> PromptVersion:
        """A version of a prompt; without one, the highest that is no draft.

        Raises PromptUnknown with the nearest names, PromptBroken where its files do not load.
        """
        place = self._place_of(name)
        if version is not None:
            return self._load(place, version)
        for newest in reversed(place.versions):
            prompt = self._load(place, newest)
            if not prompt.config.draft:
                return prompt
        raise PromptUnknown(
            f"prompt {name} has drafts alone: name one of {', '.join(place.versions)}, "
            f"or take `draft = true` out of its prompt.toml"
        )

    def pinned(self, name: str, version: str, content_hash: bytes) -> PromptVersion:
        """The content of that hash, whatever the version's files hold now. Raises ContentMissing."""
        key = (name, version, content_hash)
        known = self._contents.get(key)
        if known is not None:
            return known
        found = kept(name, version, content_hash, self.home) if self.home is not None else None
        found = found or self._current(name, version, content_hash)
        if found is None:
            raise ContentMissing(f"{name}/{version}", content_hash, [*self.folders, *filter(None, [self.home])])
        return self._remembered(found)

    def pin(self, prompt: PromptVersion) -> bytes:
        """The hash by which a job is pinned to a content; from here on the content is kept."""
        key = (prompt.name, prompt.version, prompt.content_hash)
        if key not in self._contents and self.home is not None:
            keep(prompt, self.home)
        self._remembered(prompt)
        return prompt.content_hash

    def check(self) -> list[str]:
        """Returns what is wrong: files that do not load, and released versions whose files have changed."""
        return [*map(str, self.misplaced()), *self._unloaded()]

    def folder_of(self, name: str) -> Path:
        """Returns where a prompt lies. Raises PromptUnknown; PromptBroken where two folders have the name."""
        return self._place_of(name).folder

    def misplaced(self) -> Iterator[Mistake]:
        """Returns what lies astray where prompts are looked for, and what is not as it was released."""
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
                    _ = self._read(
                        self._place_of(name), version
                    ).schema  # made when first asked for, from files that may not load
                except PromptError as error:
                    yield str(error)

    def _place_of(self, name: str) -> Place:
        """Where a prompt lies now. Raises PromptUnknown; PromptBroken where two folders have the name."""
        first, *others = self._places_of(name)
        if others:
            raise PromptBroken(f"{others[0].folder} and {first.folder} have the same name: rename one")
        return first

    def _places_of(self, name: str) -> list[Place]:
        """Each folder that has the prompt. Raises PromptUnknown."""
        folders = [folder / name for folder in self.folders] if _is_plain(name) else []
        places = [Place(folder=folder, versions=found) for folder in folders if (found := _versions(folder))]
        if not places:
            raise PromptUnknown(self._unknown(name))
        return places

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
        others = ", ".join(self.names()) or "none"
        meant = f"did you mean {' or '.join(near)}?" if near else f"there are {others}."
        return f"there is no prompt {name!r}: {meant} Looked into {looked}; {remedy}"

    def _load(self, place: Place, version: str) -> PromptVersion:
        """What the version's files hold now. Raises PromptUnknown, PromptBroken."""
        prompt = self._read(place, version)
        wanted = self._releases(prompt.folder.parent.parent).get(str(prompt))
        if wanted is not None and wanted != prompt.content_hash.hex():
            raise PromptBroken(f"{prompt.folder}: {CHANGED.format(key=prompt)}")
        return prompt

    def _read(self, place: Place, version: str) -> PromptVersion:
        folder, known = place.folder, place.versions
        if version not in known:
            raise PromptUnknown(
                f"prompt {folder.name} has no version {version!r}: it has {', '.join(known)} in {folder}"
            )
        look = self._look_at(folder.name, version, folder / version)
        if isinstance(look.found, PromptError):
            raise look.found
        return look.found

    def _look_at(self, name: str, version: str, folder: Path) -> Look:
        """The last look, if nothing changed since. An edit is waited for until it is done."""
        with self._lock:
            before = self._looks.get((name, version))
            if before is not None and before.still_holds(folder):
                return before
            look = look_at(name, version, folder, patiently=before is not None and before.settled)
            if before is not None and before.content is not None and look.content == before.content:
                look = replace(look, found=before.found)  # it is loaded already
            self._looks[name, version] = look
            return look

    def _current(self, name: str, version: str, content_hash: bytes) -> PromptVersion | None:
        """What the version's files hold now, where that is the content."""
        try:
            found = self._read(self._place_of(name), version)
        except PromptError:
            return None
        return found if found.content_hash == content_hash else None

    def _remembered(self, prompt: PromptVersion) -> PromptVersion:
        """The same object for the same content, which is loaded once; old ones are forgotten."""
        key = (prompt.name, prompt.version, prompt.content_hash)
        with self._lock:
            self._contents.setdefault(key, prompt)
            self._contents.move_to_end(key)
            while len(self._contents) > MOST_CONTENTS:
                self._contents.popitem(last=False)
            return self._contents[key]

    def _releases(self, folder: Path) -> Mapping[str, str]:
        """The hashes beside the prompts; none where the file cannot be read, which is told elsewhere.

        Every job that is not pinned asks for them: a file that has not changed is not read again.
        """
        file = folder / RELEASED
        signature = signature_of_file(file)
        seen = self._releases_seen.get(folder)
        if seen is not None and seen[0] == signature:
            return seen[1]
        try:
            hashes = _released(file)[1]
        except Broken:
            return {}
        if age_s((signature,)) >= SETTLED_S and signature_of_file(file) == signature:
            self._releases_seen[folder] = (signature, hashes)
        return hashes

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
            found = self._read(self._place_of(name), version).content_hash.hex()
        except PromptError as error:
            return f"{key} is released, but: {error}"
        return None if found == wanted else CHANGED.format(key=key)


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
    """Every job that is not pinned asks for them, so that they are looked for by few calls."""
    try:
        with os.scandir(prompt) as entries:
            found = [entry.name for entry in entries if VERSION.fullmatch(entry.name) and _is_folder(entry)]
    except OSError:
        return []
    return sorted(found, key=lambda version: int(version[1:]))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """False for a link that leads nowhere: it hides no version beside it."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _of_layout(prompt: Path) -> Iterator[Mistake]:
    """Files of a prompt that no version has."""
    for file in FILES:
        if (prompt / file).is_file():
            yield Mistake(file=prompt / file, told=f"it is in no version: move it into {prompt / 'v1'}")
    for entry in _folders_in(prompt):
        if not VERSION.fullmatch(entry.name) and any((entry / file).is_file() for file in FILES):
            digits = "".join(re.findall(r"\d", entry.name)).lstrip("0")
            yield Mistake(file=entry, told=f"a version is called v1, v2 and so on: rename it to v{digits or 1}")
