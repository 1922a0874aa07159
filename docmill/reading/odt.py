"""OpenDocument texts to text: what a reader of the paper sees, headers, notes and comments included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from docmill.errors import Unreadable
from docmill.reading.archives import require_unlocked
from docmill.reading.cleaning import clean
from docmill.reading.media import ODT
from docmill.reading.package import Element, Package, attribute, children, first, local
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

SILENT = frozenset(
    {
        *("tracked-changes", "sequence-decls", "variable-decls", "user-field-decls", "forms", "soft-page-break"),
        *("object-ole", "title", "desc", "event-listeners"),
    }
)
"""Elements that say nothing on paper: declarations, and what was struck out."""
LITERAL = {"s": " ", "tab": "\t", "line-break": "\n"}
HEADERS = ("header", "header-first", "header-left")
FOOTERS = ("footer", "footer-first", "footer-left")
MOST_REPEATED = 1000
"""Of equal cells or rows that a file writes once with a number."""
MOST_SPACES = 1000


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads headers, body, notes, comments and footers; a table has a line a row, its cells parted by tabs.

    Raises Unreadable: encrypted, corrupt, too_large.
    """
    package = Package(body)
    require_unlocked(body)
    try:
        document = _Document(package)
        text = clean("\n".join(document.lines()))
    except (ValueError, RecursionError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole OpenDocument text ({type(error).__name__}): save it again"
        ) from error
    require_length(len(text), limits)
    return reading_of(text, ODT, warnings=warnings_of(document.unread))


class _Document:
    """One document while it is read."""

    def __init__(self, package: Package) -> None:
        content = package.part("content.xml")
        if content is None:
            raise Unreadable("corrupt", "it has no content.xml: save it again")
        self._content = content.root
        styles = package.part("styles.xml")
        self._styles = None if styles is None else styles.root
        self._package = package
        self._hidden = _hidden_styles(self._content, self._styles)
        self._controls = {
            attribute(each, "id"): each
            for form in self._content.iter()
            if local(form) == "forms"
            for each in form.iter()
        }
        self._notes: list[str] = []
        self._comments: list[str] = []
        self._boxes: list[str] = []
        self.unread: Counter[WarningKind] = Counter()

    def lines(self) -> Iterator[str]:
        """Yields the document's lines."""
        yield from self._furniture(HEADERS)
        body = first(self._content, "body", "text")
        yield from self._blocks(self._content if body is None else body)
        footers = list(self._furniture(FOOTERS))
        yield from self._notes
        yield from self._comments
        yield from footers

    def _furniture(self, kinds: tuple[str, ...]) -> Iterator[str]:
        """Headers or footers, each line once however many pages' styles have it."""
        lines: dict[str, None] = {}
        for part in () if self._styles is None else self._styles.iter():
            if local(part) in kinds:
                found = [line for line in self._blocks(part) if line.strip()]
                shown = attribute(part, "display") != "false"
                self.unread["hidden"] += bool(found) and not shown
                lines |= dict.fromkeys(found if shown else ())
        yield from lines

    def _blocks(self, container: Element) -> Iterator[str]:
        for block in container:
            name = local(block)
            if self._is_hidden(block):
                continue
            if name in ("p", "h"):
                yield from self._paragraph(block)
            elif name == "table":
                yield from self._rows(block)
            elif name and name not in SILENT:
                yield from self._blocks(block)

    def _paragraph(self, paragraph: Element) -> Iterator[str]:
        outside, self._boxes = self._boxes, []
        line = self._inline(paragraph)
        boxes, self._boxes = self._boxes, outside
        yield line
        yield from boxes

    def _rows(self, table: Element) -> Iterator[str]:
        for row in (each for each in table.iter() if local(each) == "table-row" and _nearest_table(each) is table):
            cells: list[str] = []
            for cell in row:
                if local(cell) in ("table-cell", "covered-table-cell"):
                    words = " ".join(" ".join(self._blocks(cell)).split())
                    cells += [words] * _repeated(cell, "number-columns-repeated")
            line = "\t".join(cells).rstrip("\t")
            yield from [line] * (_repeated(row, "number-rows-repeated") if line else 1)

    def _inline(self, element: Element) -> str:
        parts = [element.text or ""]
        for child in element:
            parts += [self._said(child), child.tail or ""]
        return "".join(parts)

    def _said(self, element: Element) -> str:
        name = local(element)
        if name in LITERAL:
            return LITERAL[name] * (_repeated(element, "c", MOST_SPACES) if name == "s" else 1)
        if name in ("note", "annotation"):
            return self._note(element) if name == "note" else self._comment(element)
        if name in ("text-box", "table", "p"):
            self._boxes += self._beside(element)
            return ""
        if not name or name in SILENT or self._is_hidden(element):
            return ""
        self.unread["picture"] += name == "image"
        special = getattr(self, f"_said_{name.replace('-', '_')}", None)
        return special(element) if special is not None else self._inline(element)

    def _said_object(self, element: Element) -> str:
        """A chart or a formula, which is a document within this one."""
        href = (attribute(element, "href") or "").removeprefix("./")
        part = self._package.part(f"{href}/content.xml") if href else None
        if part is None:
            self.unread["embedded"] += len(element) == 0
            return self._inline(element)
        if local(part.root) == "math":
            return _formula(part.root)
        self._boxes += self._object_lines(part.root)
        return ""

    def _object_lines(self, root: Element) -> Iterator[str]:
        for chart in (each for each in root.iter() if local(each) == "chart"):
            for title in (each for each in chart.iter() if local(each) in ("title", "subtitle", "footer")):
                yield from self._blocks(title)
        body = first(root, "body")
        yield from self._blocks(root if body is None else body)

    def _said_control(self, element: Element) -> str:
        """A field of a form: its label, what was filled in, or whether it was ticked."""
        control = self._controls.get(attribute(element, "control"))
        if control is None:
            return ""
        ticked = {"checked": "☒", "unchecked": "☐"}.get(attribute(control, "current-state") or "", "")
        said = [attribute(control, name) for name in ("label", "current-value")]
        paragraphs = (" ".join("".join(each.itertext()).split()) for each in children(control, "p"))
        chosen = (attribute(each, "label") for each in control if attribute(each, "current-selected") == "true")
        return " ".join(filter(None, (ticked, *said, *paragraphs, *chosen)))

    def _said_ruby_text(self, element: Element) -> str:
        """How a word is pronounced, above it."""
        return f"({self._inline(element)})"

    def _beside(self, element: Element) -> Iterator[str]:
        """A text box, or a table or paragraph within one: lines of their own, after the paragraph."""
        if local(element) == "text-box":
            return self._blocks(element)
        return self._rows(element) if local(element) == "table" else self._paragraph(element)

    def _note(self, element: Element) -> str:
        citation, body = first(element, "note-citation"), first(element, "note-body")
        label = f"[{'' if citation is None else self._inline(citation)}]"
        if body is not None:
            self._notes.append(f"{label} {' '.join(' '.join(self._blocks(body)).split())}")
        return label

    def _comment(self, element: Element) -> str:
        words = " ".join(" ".join(self._blocks_of_comment(element)).split())
        if words:
            author = first(element, "creator")
            name = "" if author is None else f" by {author.text}"
            self._comments.append(f"Comment{name}: {words}")
        return ""

    def _blocks_of_comment(self, element: Element) -> Iterator[str]:
        for name in ("p", "list"):
            for block in children(element, name):
                yield from self._paragraph(block) if name == "p" else self._blocks(block)

    def _is_hidden(self, element: Element) -> bool:
        """Whether nobody sees it; where it says something, that is counted."""
        name = local(element)
        hidden = (
            name in ("hidden-text", "hidden-paragraph")
            or (name in ("span", "p", "h") and attribute(element, "style-name") in self._hidden)
            or (name == "section" and attribute(element, "display") == "none")
        )
        said = attribute(element, "string-value") or "".join(element.itertext()).strip()
        self.unread["hidden"] += hidden and bool(said)
        return hidden


def _nearest_table(row: Element) -> Element | None:
    return next((parent for parent in row.iterancestors() if local(parent) == "table"), None)


def _formula(root: Element) -> str:
    """A formula's signs in their order, without the program's own way to write it."""
    said = (each.text for each in root.iter() if local(each) != "annotation" and each.text)
    return " ".join(" ".join(said).split())


def _hidden_styles(*trees: Element | None) -> frozenset[str]:
    """The names of styles whose text is hidden, by themselves or by the style that they are based on."""
    shown: dict[str, str | None] = {}
    parents: dict[str, str] = {}
    for style in (each for tree in trees if tree is not None for each in tree.iter() if local(each) == "style"):
        name, properties = attribute(style, "name") or "", first(style, "text-properties")
        shown[name] = None if properties is None else attribute(properties, "display")
        parents[name] = attribute(style, "parent-style-name") or ""
    return frozenset(name for name in shown if _displayed(name, shown, parents) == "none")


def _displayed(name: str, shown: Mapping[str, str | None], parents: Mapping[str, str]) -> str | None:
    for _ in range(len(shown)):
        if shown.get(name) is not None or name not in parents:
            break
        name = parents[name]
    return shown.get(name)


def _repeated(element: Element, name: str, most: int = MOST_REPEATED) -> int:
    value = attribute(element, name) or "1"
    return max(1, min(int(value), most)) if value.isascii() and value.isdigit() and len(value) < 10 else 1
