"""What drawings in Office files say: charts, diagrams, and the paragraphs of shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from docmill.reading.package import Element, Package, Part, attribute, children, first, local
from docmill.reading.values import WarningKind

__all__ = ["drawn_lines", "paragraph_text", "shape_lines", "table_lines"]


def drawn_lines(package: Package, part: Part, drawing: Element) -> Iterator[str]:
    """Yields the lines of the charts and diagrams that a drawing of a part refers to."""
    for element in drawing.iter():
        if local(element) == "chart":
            chart = package.referred(part, attribute(element, "id"))
            yield from () if chart is None else chart_lines(package, chart)
        elif local(element) == "relIds":
            diagram = package.referred(part, attribute(element, "dm"))
            yield from () if diagram is None else diagram_lines(diagram.root)


def chart_lines(package: Package, chart: Part) -> Iterator[str]:
    """Yields a chart's titles, its values as a table (a line a category, a column a series), then its labels."""
    yield from _said_in(chart.root, "title")
    series = [element for element in chart.root.iter() if local(element) == "ser"]
    if series:
        yield from _chart_table(series)
    yield from _newer_chart_lines(chart.root)
    yield from _said_in(chart.root, "dLbl")
    for shapes in package.related(chart, "chartUserShapes"):
        for body in (element for element in shapes.root.iter() if local(element) == "txBody"):
            yield from (line for line in shape_lines(body) if line.strip())


def _said_in(root: Element, name: str) -> Iterator[str]:
    """What somebody wrote into each of the chart's titles or labels."""
    for element in root.iter():
        if local(element) == name:
            words = " ".join(_words(element))
            if words:
                yield words


def _newer_chart_lines(root: Element) -> Iterator[str]:
    """The values of a chart of the kinds that came later (``cx``), as waterfalls are: a line a point."""
    names = [_rich_words(each) for each in root.iter() if local(each) == "series"]
    if any(names):
        yield "\t".join(["", *names])
    for data in (each for each in root.iter() if local(each) == "data"):
        columns = [_newer_points(level) for level in data.iter() if local(level) == "lvl"]
        for place in sorted({place for column in columns for place in column}):
            yield "\t".join(column.get(place, "") for column in columns)


def _rich_words(series: Element) -> str:
    title = first(series, "tx")
    return "" if title is None else " ".join(_words(title))


def _newer_points(level: Element) -> dict[int, str]:
    return {_index(point): point.text for point in children(level, "pt") if point.text}


def _index(point: Element) -> int:
    index = attribute(point, "idx") or ""
    return int(index) if index.isascii() and index.isdigit() and len(index) < 10 else 0


def _chart_table(series: Sequence[Element]) -> Iterator[str]:
    names = [" ".join(_values(first(each, "tx")).values()) for each in series]
    columns = [
        _values(first(each, "val") if first(each, "val") is not None else first(each, "yVal")) for each in series
    ]
    labels: dict[int, str] = {}
    for each in series:
        for kind in ("cat", "xVal"):
            for place, label in _values(first(each, kind)).items():
                labels.setdefault(place, label)
    if any(names):
        yield "\t".join(["", *names])
    for place in sorted({*labels, *(place for column in columns for place in column)}):
        yield "\t".join([labels.get(place, ""), *(column.get(place, "") for column in columns)])


def _values(element: Element | None) -> dict[int, str]:
    """The points that are kept of a reference, by their index; of categories with levels all levels."""
    found: dict[int, str] = {}
    if element is None:
        return found
    for point in element.iter():
        if local(point) == "pt":
            place = _index(point)
            value = first(point, "v")
            if value is not None and value.text:
                found[place] = f"{found[place]} {value.text}" if place in found else value.text
    if not found:
        direct = first(element, "v")
        if direct is not None and direct.text:
            found[0] = direct.text
    return found


def diagram_lines(root: Element) -> Iterator[str]:
    """Yields what stands in a diagram's points (SmartArt), a line a paragraph."""
    for element in root.iter():
        if local(element) == "p" and "drawingml" in str(element.tag):
            line = paragraph_text(element)
            if line.strip():
                yield line


def shape_lines(body: Element) -> Iterator[str]:
    """Yields the lines of a shape's text body (``a:p`` within ``txBody``)."""
    for paragraph in children(body, "p"):
        yield paragraph_text(paragraph)


def table_lines(table: Element, unread: Counter[WarningKind]) -> Iterator[str]:
    """Yields a table of a slide: a line a row, cells parted by tabs.

    A cell that another one covers leaves its gap; what stands in it is counted as hidden.
    """
    for row in children(table, "tr"):
        cells = []
        for cell in children(row, "tc"):
            body = first(cell, "txBody")
            words = "" if body is None else " ".join(" ".join(shape_lines(body)).split())
            covered = any(attribute(cell, name) in ("1", "true") for name in ("hMerge", "vMerge"))
            unread["hidden"] += covered and bool(words)
            cells.append("" if covered else words)
        yield "\t".join(cells)


def paragraph_text(paragraph: Element) -> str:
    """Returns a paragraph of DrawingML: its runs and fields, line breaks and formulas."""
    parts = []
    for element in paragraph.iter():
        name = local(element)
        if name == "t":
            parts.append(element.text or "")
        elif name == "br":
            parts.append("\n")
    return "".join(parts)


def _words(element: Element) -> Iterator[str]:
    return (found.text for found in element.iter() if local(found) in ("t", "v") and found.text)
