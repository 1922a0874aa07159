"""The numbers that Word puts before the paragraphs of its lists: clauses are cited by them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from docmill.reading.package import Element, Package, Part, attribute, children, first

__all__ = ["ListLabels"]

LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
ROMAN = {
    1000: "m",
    900: "cm",
    500: "d",
    400: "cd",
    100: "c",
    90: "xc",
    50: "l",
    40: "xl",
    10: "x",
    9: "ix",
    5: "v",
    4: "iv",
    1: "i",
}
MOST = 100_000
"""No list counts further."""


@dataclass(frozen=True, kw_only=True)
class _Level:
    text: str
    """As ``%1.%2``: the numbers of the first and of the second level."""
    form: str
    start: int


@dataclass
class ListLabels:
    """Counts the paragraphs of a document's lists in their order."""

    levels: Mapping[str, Mapping[int, _Level]]
    """By list and level."""
    by_style: Mapping[str, tuple[str, int]]
    """List and level of a paragraph's style."""
    _counts: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, package: Package, main: Part) -> ListLabels:
        """Reads a document's lists; one without has none."""
        numbering = next(package.related(main, "numbering"), None)
        styles = next(package.related(main, "styles"), None)
        if numbering is None:
            return cls(levels={}, by_style={})
        abstract = {attribute(each, "abstractNumId"): each for each in children(numbering.root, "abstractNum")}
        levels = {}
        for each in children(numbering.root, "num"):
            described = abstract.get(_value(first(each, "abstractNumId")))
            levels[attribute(each, "numId") or ""] = {} if described is None else _levels(described, each)
        return cls(levels=levels, by_style=_by_style(styles))

    def label_of(self, paragraph: Element) -> str:
        """Returns the label of a list's next paragraph, as ``3.2.``; empty for bullets and for other text."""
        found = self._list_of(paragraph)
        if found is None:
            return ""
        name, level = found
        levels = self.levels.get(name, {})
        if level not in levels:
            return ""
        counts = self._counts.setdefault(name, [0] * LEVELS)
        self._count(counts, levels, level)
        if levels[level].form in ("bullet", "none"):
            return ""
        return re.sub(
            r"%([1-9])", lambda match: _shown(levels, counts, int(match[1]) - 1), levels[level].text
        ).strip()

    def _count(self, counts: list[int], levels: Mapping[int, _Level], level: int) -> None:
        counts[level] = min(counts[level] + 1, MOST) if counts[level] else levels[level].start
        counts[level + 1 :] = [0] * (LEVELS - level - 1)
        for above in range(level):
            counts[above] = counts[above] or (levels[above].start if above in levels else 1)

    def _list_of(self, paragraph: Element) -> tuple[str, int] | None:
        properties = first(paragraph, "pPr", "numPr")
        style = self.by_style.get(_value(first(paragraph, "pPr", "pStyle")))
        if properties is None:
            return style
        level = _whole(first(properties, "ilvl"), style[1] if style else 0)
        name = _value(first(properties, "numId")) or (style[0] if style else "")
        return (name, level) if name != "0" and level < LEVELS else None


def _levels(described: Element, numbered: Element) -> dict[int, _Level]:
    starts = {
        _whole_of(attribute(override, "ilvl")): _whole(first(override, "startOverride"), 1)
        for override in children(numbered, "lvlOverride")
        if first(override, "startOverride") is not None
    }
    found = {}
    for level in children(described, "lvl"):
        place = _whole_of(attribute(level, "ilvl"))
        found[place] = _Level(
            text=_value(first(level, "lvlText")),
            form=_value(first(level, "numFmt")) or "decimal",
            start=starts.get(place, _whole(first(level, "start"), 1)),
        )
    return found


def _by_style(styles: Part | None) -> dict[str, tuple[str, int]]:
    found = {}
    for style in () if styles is None else children(styles.root, "style"):
        name = _value(first(style, "pPr", "numPr", "numId"))
        if name and name != "0":
            found[attribute(style, "styleId") or ""] = (name, _whole(first(style, "pPr", "numPr", "ilvl"), 0))
    return found


def _shown(levels: Mapping[int, _Level], counts: list[int], level: int) -> str:
    number = counts[level]
    form = levels[level].form if level in levels else "decimal"
    if form in ("lowerLetter", "upperLetter") and number > 0:
        # After z comes aa, then bb.
        letter = chr(ord("a") + (number - 1) % 26) * min(1 + (number - 1) // 26, 20)
        return letter if form == "lowerLetter" else letter.upper()
    if form in ("lowerRoman", "upperRoman") and 0 < number < 5000:
        return _roman(number) if form == "lowerRoman" else _roman(number).upper()
    return f"{number:02}" if form == "decimalZero" else str(number)


def _roman(number: int) -> str:
    parts = []
    for value, letters in ROMAN.items():
        count, number = divmod(number, value)
        parts.append(letters * count)
    return "".join(parts)


def _value(element: Element | None) -> str:
    return "" if element is None else attribute(element, "val") or ""


def _whole(element: Element | None, otherwise: int) -> int:
    value = _value(element)
    return min(int(value), MOST) if value.isascii() and value.isdigit() and len(value) < 10 else otherwise


def _whole_of(value: str | None) -> int:
    return int(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 3 else 0
