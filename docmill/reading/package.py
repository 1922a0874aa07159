"""An Office package: its parts as XML trees, and what points from one part to another.

Elements are known by their local names alone, because a package may be in the transitional or in the strict form
of its standard (ISO/IEC 29500), which differ in their namespaces only.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from lxml import etree

from docmill.errors import Unreadable
from docmill.reading.archives import require_archive

__all__ = ["Element", "Package", "Part", "attribute", "children", "first", "local", "switched_on"]

Element: TypeAlias = Any
"""An lxml element, which has no types."""

BROKEN = (etree.LxmlError, zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError)


def local(element: Element) -> str:
    """Returns an element's name without its namespace; empty for a comment or an instruction."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str | None:
    """Returns an attribute by its local name."""
    plain = element.get(name)
    if plain is not None:
        return str(plain)
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), None)


def children(element: Element, name: str) -> Iterator[Element]:
    """Yields the children of a local name."""
    return (child for child in element if local(child) == name)


def first(element: Element | None, *path: str) -> Element | None:
    """Returns the first element at a path of local names; None where there is none."""
    for name in path:
        if element is None:
            return None
        element = next(children(element, name), None)
    return element


def switched_on(element: Element | None) -> bool:
    """Returns whether a property such as ``w:vanish`` is there and not switched off by its value."""
    return element is not None and attribute(element, "val") not in ("0", "false", "off", "none")


@dataclass(frozen=True, kw_only=True)
class Part:
    """One XML part of a package."""

    name: str
    root: Element
    targets: Mapping[str, tuple[str, str]]
    """By relationship id: the last word of its type, and the name of the part that it leads to."""

    def named(self, kind: str) -> list[str]:
        """Returns the parts that this one leads to by a kind of relationship."""
        return [target for found, target in self.targets.values() if found == kind]


class Package:
    """The parts of a package, parsed when they are asked for."""

    def __init__(self, body: bytes) -> None:
        """Raises Unreadable: encrypted, corrupt, too_large, unsupported."""
        self._archive = zipfile.ZipFile(require_archive(body))
        self._names = {name.lower(): name for name in self._archive.namelist()}

    @cached_property
    def main(self) -> Part:
        """The part that the package is about. Raises Unreadable (corrupt) where there is none."""
        for kind, target in self.targets_of("").values():
            if kind == "officeDocument":
                part = self.part(target)
                if part is not None:
                    return part
        raise Unreadable("corrupt", "the package has no main part: save it again")

    def part(self, name: str) -> Part | None:
        """Returns a part; None where the package lacks it. Raises Unreadable (corrupt) where it is broken."""
        root = self._tree(name)
        return None if root is None else Part(name=name, root=root, targets=self.targets_of(name))

    def related(self, part: Part, kind: str) -> Iterator[Part]:
        """Yields the parts that a part leads to by a kind of relationship."""
        for name in part.named(kind):
            found = self.part(name)
            if found is not None:
                yield found

    def referred(self, part: Part, relationship: str | None) -> Part | None:
        """Returns the part that a relationship's id leads to; None where it leads to none."""
        _, target = part.targets.get(relationship or "", ("", ""))
        return self.part(target) if target else None

    def bytes_of(self, name: str) -> bytes | None:
        """Returns a part as it lies in the package; None where the package lacks it."""
        stored = self._names.get(name.lower())
        try:
            return None if stored is None else self._archive.read(stored)
        except BROKEN as error:
            raise _broken(name, error) from error

    def stream(self, name: str, kinds: Collection[str]) -> Iterator[Element]:
        """Yields a part's elements of some local names as they come, and forgets each after that: a sheet is long.

        Raises Unreadable (corrupt) where the part is broken or missing.
        """
        body = self.bytes_of(name)
        if body is None:
            raise Unreadable("corrupt", f"{name} is missing in it: save it again")
        tags = [f"{{*}}{kind}" for kind in kinds]
        try:
            for _, element in etree.iterparse(io.BytesIO(body), tag=tags, resolve_entities=False, no_network=True):
                yield element
                element.clear()
        except etree.LxmlError as error:
            raise _broken(name, error) from error

    def names(self) -> list[str]:
        """Returns the names of all parts."""
        return self._archive.namelist()

    def _tree(self, name: str) -> Element | None:
        body = self.bytes_of(name)
        if body is None:
            return None
        parser = etree.XMLParser(
            resolve_entities=False,
            no_network=True,
            load_dtd=False,
            remove_comments=True,
            recover=name.lower().endswith(".vml"),  # programs wrote it like HTML, with open line breaks
        )
        try:
            root = etree.fromstring(body, parser)
        except etree.LxmlError as error:
            raise _broken(name, error) from error
        if root is None:
            return None
        _choose_alternates(root)
        return root

    def targets_of(self, name: str) -> dict[str, tuple[str, str]]:
        """Returns what a part leads to, by the relationship's id; see :class:`Part`."""
        folder, file = posixpath.split(name)
        root = self._tree(posixpath.join(folder, "_rels", f"{file}.rels"))
        found = {}
        for relationship in () if root is None else children(root, "Relationship"):
            if relationship.get("TargetMode") != "External":
                kind = (relationship.get("Type") or "").rpartition("/")[2]
                target = posixpath.normpath(posixpath.join("/", folder, relationship.get("Target") or ""))
                found[relationship.get("Id") or ""] = (kind, target.lstrip("/"))
        return found


def _choose_alternates(root: Element) -> None:
    """Puts in the place of each alternate content (``mc:AlternateContent``) the one branch that is shown.

    That is the first choice that says something, itself or by a chart, or else the fallback: both say the same in
    two forms, or the fallback asks for a newer program.
    """
    for alternate in [element for element in root.iter() if local(element) == "AlternateContent"]:
        parent = alternate.getparent()
        branches = [*children(alternate, "Choice"), *children(alternate, "Fallback")]
        if parent is None or not branches:
            continue
        chosen = next((branch for branch in branches if _says_something(branch)), branches[0])
        place = parent.index(alternate)
        parent[place : place + 1] = list(chosen)


def _says_something(branch: Element) -> bool:
    return any(
        (local(element) in ("t", "textpath") and (element.text or element.attrib))
        or (local(element) in ("chart", "relIds") and len(element.attrib) > 0)
        for element in branch.iter()
    )


def _broken(name: str, error: Exception) -> Unreadable:
    return Unreadable("corrupt", f"{name} in it is broken ({type(error).__name__}): save it again")
