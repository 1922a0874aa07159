"""What drawings in Office files say: charts, diagrams, and the paragraphs of shapes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docmill.reading.package import Element, Package, Part, attribute, children, first, local

__all__ = ["chart_lines", "diagram_lines", "drawn_lines", "paragraph_text", "shape_lines", "table_lines"]


def drawn_lines(package: Package, part: Part, drawing: Element) -> Iterator[str]:
    """Yields the lines of the charts and diagrams that a drawing of a part refers to."""
    for element in drawing.iter():
        if local(element) == "chart":
            chart = package.referred(part, attribute(element, "id"))
            yield from () if chart is None else chart_lines(chart.root)
        elif local(element) == "relIds":
            diagram = package.referred(part, attribute(element, "dm"))
            yield from () if diagram is None else diagram_lines(diagram.root)


def chart_lines(root: Element) -> Iterator[str]:
    """Yields a chart's titles, then its values as a table: a line a category, a column a series."""
    for title in (element for element in root.iter() if local(element) in ("title", "userShapes")):
        words = " ".join(_words(title))
        if words:
            yield words
    series = [element for element in root.iter() if local(element) == "ser"]
    if series:
        yield from _chart_table(series)


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
            place = int(attribute(point, "idx") or 0) if (attribute(point, "idx") or "").isdigit() else 0
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


def table_lines(table: Element) -> Iterator[str]:
    """Yields a table of a slide: a line a row, cells parted by tabs; merged cells leave their gap."""
    for row in children(table, "tr"):
        cells = []
        for cell in children(row, "tc"):
            body = first(cell, "txBody")
            merged = attribute(cell, "hMerge") in ("1", "true") or attribute(cell, "vMerge") in ("1", "true")
            words = "" if body is None or merged else " ".join(" ".join(shape_lines(body)).split())
            cells.append(words)
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
