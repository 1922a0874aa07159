"""Rules for shapes that nobody foresaw: labelled values, lists below a heading, and tables with a header.

They go by the names that the schema gives its fields, and find what stands beside those words. Nothing is guessed:
what stands nowhere is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

__all__ = ["below", "labelled", "listed", "numbered", "rows", "said_yes"]

CELLS = re.compile(r"\t|\s{2}|\|")
BULLET = re.compile(r"[^\S\n]*(?:[-*•–]|\d{1,3}[.)])[^\S\n]+(\S[^\n]*)")
NUMBER = re.compile(r"[-+]?\d[\d.,'’\u00a0]*")
TOTALS = re.compile(r"\s*(?:sub\s?-?)?(?:total|sum|summe|gesamt)\b", re.IGNORECASE)
LONGEST = 300
"""Characters of a value beside its label."""
ABBREVIATED = re.compile(r"(?:no|nr|number)?\.?", re.IGNORECASE)
MOST_ROWS = 200
MOST_NAMES = 4
MOST_WORDS = 8
YES = frozenset({"yes", "true", "y", "ja", "oui", "x"})
NO = frozenset({"no", "false", "n", "nein", "non"})
SAME: Sequence[frozenset[str]] = (
    frozenset(
        {"name", "description", "item", "product", "article", "title", "position", "what", "goods", "service"}
    ),
    frozenset({"quantity", "qty", "count", "units", "number", "pieces", "pcs"}),
    frozenset({"price", "unit_price", "rate", "each"}),
    frozenset({"total", "line_total", "amount", "sum", "cost", "value"}),
)
"""Words that mean the same in the head of a table."""


def label_of(name: str) -> re.Pattern[str] | None:
    """A field's name as documents write it; None for a name without a word."""
    words = re.findall(r"[^\W_]+", name)[:MOST_WORDS]
    return re.compile(r"[\s_-]{0,3}".join(map(re.escape, words)), re.IGNORECASE) if words else None


def is_heading(line: str, label: re.Pattern[str]) -> bool:
    """Returns whether a line says the label and nothing else."""
    return label.fullmatch(line.strip().lstrip("#").strip().rstrip(":").rstrip()) is not None


def below(name: str, document: str) -> str | None:
    """All that follows a heading with the name; None where there is none."""
    label, lines = label_of(name), document.splitlines()
    at = next((at for at, line in enumerate(lines) if label is not None and is_heading(line, label)), None)
    return None if at is None else "\n".join(lines[at + 1 :]).lstrip("\n")


def labelled(names: Sequence[str], document: str) -> str | None:
    """Returns what stands behind the first of the names that is a label in a line."""
    for label in filter(None, map(label_of, names[:MOST_NAMES])):
        found = next(filter(None, (_behind(label, line) for line in document.splitlines())), None)
        if found is not None:
            return found
    return None


def _behind(label: re.Pattern[str], line: str) -> str | None:
    """The value behind a label: after a colon anywhere in the line, or after a gap where it begins the line."""
    for match in islice(label.finditer(line), MOST_NAMES):
        before, rest = line[: match.start()], line[match.end() :]
        value = _value(rest, begins=not before.strip(" \t-*•"))
        if value and not before[-1:].isalnum():
            return re.split(r"\s{3}|\t", value)[0].strip()
    return None


def _value(rest: str, *, begins: bool) -> str | None:
    plain = rest.lstrip()
    behind = ABBREVIATED.sub("", plain, count=1).lstrip()
    if behind[:1] in (":", "#", "="):
        return behind[1:].strip()[:LONGEST] or None
    gap = len(rest) - len(plain)
    return plain.strip()[:LONGEST] or None if begins and (gap > 1 or rest[:1] == "\t") else None


def numbered(text: str) -> float | None:
    """The number at the beginning of a text, whatever currency stands before it."""
    found = re.match(r"[^\d\n-]{0,5}?([-+]?\d[\d.,'’\u00a0]*)", text.strip())
    return None if found is None else _number(found[1])


def _number(written: str) -> float | None:
    """The last of point and comma parts the decimals, unless three digits follow the only one."""
    plain = re.sub(r"['’\u00a0]", "", written).strip(".,")
    mark = max(plain.rfind("."), plain.rfind(","))
    if mark < 0:
        return float(plain)
    whole, decimals = re.sub(r"[.,]", "", plain[:mark]), plain[mark + 1 :]
    grouped = len(decimals) == 3 and (plain[mark] == "," or plain.count(".") > 1)
    return float(whole + decimals) if grouped else float(f"{whole or '0'}.{decimals or '0'}")


def said_yes(names: Sequence[str], document: str) -> bool | None:
    """Returns what a yes or no behind the label says."""
    found = labelled(names, document)
    word = (found or "").casefold().strip(" .!")
    return True if word in YES else False if word in NO else None


def listed(names: Sequence[str], document: str) -> list[str]:
    """Returns what is listed behind a label, parted by commas, or below a heading, a point a line."""
    for name in names[:MOST_NAMES]:
        rest = below(name, document)
        points = list(_points(rest)) if rest else []
        if points:
            return points
    found = labelled(names, document)
    return [part.strip() for part in re.split(r"[,;]", found) if part.strip()] if found else []


def _points(rest: str) -> Iterator[str]:
    """The lines right below a heading that are points of a list; or all up to an empty line, where none is."""
    lines = rest.lstrip("\n").splitlines()
    has_bullets = bool(lines) and BULLET.fullmatch(lines[0]) is not None
    for line in lines[:MOST_ROWS]:
        point = BULLET.fullmatch(line)
        if has_bullets and point:
            yield point[1].strip()
        elif not has_bullets and line.strip() and not re.search(r"[:\t]|\s\s", line.strip()):
            yield line.strip()
        else:
            return


def rows(fields: Sequence[str], document: str) -> list[dict[str, str]]:
    """The rows of the table whose head names the fields, by field; else groups of lines with them as labels."""
    lines = document.splitlines()
    for at, line in enumerate(lines):
        columns = _columns(fields, line)
        if len(columns) >= min(2, len(fields)):
            return list(_rows_below(columns, len(_cells(line)), lines[at + 1 :]))[:MOST_ROWS]
    return _groups(fields, lines)[:MOST_ROWS]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in CELLS.split(line.strip(" |")) if cell.strip()]


def _columns(fields: Sequence[str], head: str) -> Mapping[str, int]:
    """Which cell of a table's head is which field."""
    cells = [re.sub(r"[^a-z0-9]+", "_", cell.casefold()).strip("_") for cell in _cells(head)]
    if len(cells) < 2 or NUMBER.fullmatch(cells[-1]):
        return {}
    found: dict[str, int] = {}
    for name in fields:
        plain = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")
        same = next((words for words in SAME if plain in words), frozenset({plain}))
        exact = [at for at, cell in enumerate(cells) if cell == plain]
        near = [at for at, cell in enumerate(cells) if cell in same]
        at = next((at for at in [*exact, *near] if at not in found.values()), None)
        if at is not None:
            found[name] = at
    return found


def _rows_below(columns: Mapping[str, int], width: int, lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows with as many cells as the head; the table ends where a line has another form, rulings left out."""
    begun = False
    for line in lines:
        cells = _cells(line)
        if not re.search(r"\w", line) and line.strip():
            continue
        if len(cells) != width or TOTALS.match(line):
            if begun:
                return
            continue
        begun = True
        yield {name: cells[at] for name, at in columns.items()}


def _groups(fields: Sequence[str], lines: Sequence[str]) -> list[dict[str, str]]:
    """Lines as ``Name: Ada`` and ``Role: chair``: where a field comes again, another group begins."""
    labels = {name: label for name in fields if (label := label_of(name)) is not None}
    found: list[dict[str, str]] = []
    for line in lines:
        for name, label in labels.items():
            text = line.strip(" \t-*•")
            match = label.match(text)
            value = _value(text[match.end() :], begins=False) if match else None
            if value:
                if not found or name in found[-1]:
                    found.append({})
                found[-1][name] = value
    return found if len(found) > 1 or (found and len(found[0]) > 1) else []
