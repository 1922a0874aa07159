"""OpenDocument texts to text: what a reader of the paper sees, headers, notes and comments included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.media import ODT
from docmill.reading.package import Element, Package, attribute, children, first, local
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

SILENT = frozenset(
    {
        *("tracked-changes", "sequence-decls", "variable-decls", "user-field-decls", "forms", "soft-page-break"),
        "object-ole",
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
    if b"manifest:encryption-data" in body:
        raise Unreadable("encrypted", "it is locked with a password: submit it without one")
    package = Package(body)
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
        self._hidden = frozenset(_hidden_styles(self._content, self._styles))
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
            if local(part) in kinds and attribute(part, "display") != "false":
                lines |= dict.fromkeys(line for line in self._blocks(part) if line.strip())
        yield from lines

    def _blocks(self, container: Element) -> Iterator[str]:
        for block in container:
            name = local(block)
            if name in ("p", "h"):
                yield from self._paragraph(block)
            elif name == "table":
                yield from self._rows(block)
            elif name == "section" and attribute(block, "display") == "none":
                self.unread["hidden"] += 1
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
        return self._inline(element)

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
        hidden = local(element) in ("hidden-text", "hidden-paragraph") or (
            local(element) == "span" and attribute(element, "style-name") in self._hidden
        )
        self.unread["hidden"] += hidden
        return hidden


def _nearest_table(row: Element) -> Element | None:
    return next((parent for parent in row.iterancestors() if local(parent) == "table"), None)


def _hidden_styles(*trees: Element | None) -> Iterator[str]:
    for tree in trees:
        for style in () if tree is None else (each for each in tree.iter() if local(each) == "style"):
            properties = first(style, "text-properties")
            if properties is not None and attribute(properties, "display") == "none":
                yield attribute(style, "name") or ""


def _repeated(element: Element, name: str, most: int = MOST_REPEATED) -> int:
    value = attribute(element, name) or "1"
    return max(1, min(int(value), most)) if value.isascii() and value.isdigit() and len(value) < 10 else 1
