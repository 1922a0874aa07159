"""Word documents to text: all that a reader of the paper sees, in its order, and a word about what nobody sees.

Every element is walked, so that a wrapper nobody thought of (a content control, a tracked insertion, a smart tag)
loses nothing: what is passed over is passed over by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from zipfile import BadZipFile

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.drawing import drawn_lines
from docmill.reading.formats import read_document
from docmill.reading.media import DOCX
from docmill.reading.package import Element, Package, Part, attribute, children, first, local, switched_on
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of
from docmill.reading.wordlists import ListLabels

SILENT = frozenset(
    {
        *("del", "moveFrom", "delText", "delInstrText", "instrText", "pPr", "rPr", "tblPr", "tblGrid", "tblPrEx"),
        *("trPr", "tcPr", "sectPr", "sdtPr", "sdtEndPr", "rubyPr", "fPr", "ctrlPr", "fldData", "binData"),
    }
)
"""Elements that say nothing on paper: properties, instructions, and what was struck out."""
LITERAL = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
SYMBOLS = {
    **dict.fromkeys(("f0fe", "f053", "f078"), "☒"),
    **dict.fromkeys(("f06f", "f0a8", "f072"), "☐"),
    "f0fc": "✓",
    "f0fb": "✗",
    "f0b7": "•",
    "f0a7": "▪",
    "f0e0": "→",
    "f0d8": "➢",
}
"""What the commonest characters of symbol fonts look like, by their codes."""
PRIVATE = range(0xF000, 0xF100)
SMALLEST_SIZE = 2
"""Half points: nobody reads what is smaller than a point."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """Reads headers, body, notes, comments and footers; a table has a line a row, its cells parted by tabs.

    Raises Unreadable: encrypted, corrupt, too_large.
    """
    package = Package(body)
    try:
        document = _Document(package, limits)
        text = clean("\n".join(document.lines()))
    except (BadZipFile, ValueError, RecursionError) as error:
        raise Unreadable(
            "corrupt", f"it is no whole Word document ({type(error).__name__}): save it again"
        ) from error
    require_length(len(text), limits)
    return reading_of(text, DOCX, warnings=warnings_of(document.unread))


class _Document:
    """One document while it is read: its parts, and what was met in them."""

    def __init__(self, package: Package, limits: Limits) -> None:
        self._package = package
        self._limits = limits
        self._main = package.main
        self._part = self._main
        self._hidden_styles = _hidden_styles(next(package.related(self._main, "styles"), None))
        self._labels = ListLabels.of(package, self._main)
        self._notes: list[tuple[str, str, str]] = []
        """Kind of the part, id within it, and label, in the order in which the text refers to them."""
        self._boxes: list[str] = []
        """Lines of text boxes of the paragraph that is being read."""
        self._fields: list[str] = []
        """Of each open field of it whether its code or its result is being read."""
        self.unread: Counter[WarningKind] = Counter()

    def lines(self) -> Iterator[str]:
        """Yields the document's lines."""
        yield from dict.fromkeys(self._furniture("headerReference"))
        body = first(self._main.root, "body")
        yield from self._blocks(self._main.root if body is None else body)
        yield from self._note_lines()
        yield from self._comment_lines()
        yield from dict.fromkeys(self._furniture("footerReference"))

    # --- blocks ---

    def _blocks(self, container: Element) -> Iterator[str]:
        for block in container:
            name = local(block)
            if name == "p":
                yield from self._paragraph(block)
            elif name == "tbl":
                yield from self._rows(block)
            elif name == "altChunk":
                yield from self._inserted(block)
            elif name not in SILENT:
                yield from self._blocks(block)

    def _inserted(self, element: Element) -> Iterator[str]:
        """What stands in a file that the document shows as its own text, as a page of HTML."""
        _, name = self._part.targets.get(attribute(element, "id") or "", ("", ""))
        body = self._package.bytes_of(name) if name else None
        try:
            reading = read_document(body or b"", name=name, limits=self._limits)
        except Unreadable:
            self.unread["embedded"] += 1
            return
        self.unread.update({warning.kind: warning.count for warning in reading.warnings})
        yield reading.text

    def _paragraph(self, paragraph: Element) -> Iterator[str]:
        outside, self._boxes = self._boxes, []
        fields, self._fields = self._fields, []
        line = self._inline(paragraph)
        self._fields = fields
        boxes, self._boxes = self._boxes, outside
        label = self._labels.label_of(paragraph) if line.strip() else ""
        yield f"{label} {line}" if label else line
        yield from boxes

    def _rows(self, table: Element) -> Iterator[str]:
        open_columns: set[int] = set()
        """Columns in which a cell that is merged downwards began."""
        for row in _within(table, "tr"):
            if first(row, "trPr", "del") is not None:
                continue
            yield self._row(row, open_columns)

    def _row(self, row: Element, open_columns: set[int]) -> str:
        cells: list[str] = [""] * _number(first(row, "trPr", "gridBefore"), 0)
        for cell in _within(row, "tc"):
            merge = first(cell, "tcPr", "vMerge")
            column, span = len(cells), _number(first(cell, "tcPr", "gridSpan"), 1)
            continues = merge is not None and attribute(merge, "val") != "restart"
            words = " ".join(" ".join(self._blocks(cell)).split())
            if continues and column in open_columns:
                self.unread["hidden"] += bool(words)
                words = ""
            (open_columns.add if merge is not None else open_columns.discard)(column)
            cells += [words, *[""] * (span - 1)]
        return "\t".join(cells).rstrip("\t")

    # --- words within a block ---

    def _inline(self, element: Element) -> str:
        return "".join(self._said(child) for child in element)

    def _said(self, element: Element) -> str:
        name = local(element)
        if name == "t":
            return "" if self._is_looked_at(element.text or "") else element.text or ""
        if name in LITERAL:
            return LITERAL[name]
        if name in SILENT:
            return ""
        if name == "r" and self._is_hidden(element):
            self.unread["hidden"] += bool(self._inline(element).strip())
            return ""
        special = getattr(self, f"_said_{name}", None)
        return special(element) if special is not None else self._inline(element)

    def _said_sym(self, element: Element) -> str:
        code = (attribute(element, "char") or "").lower()
        if code in SYMBOLS:
            return SYMBOLS[code]
        try:
            number = int(code, 16)
        except ValueError:
            return ""
        if number in PRIVATE:
            self.unread["symbol"] += 1
        return chr(number) if number < 0x110000 else ""

    def _is_looked_at(self, text: str) -> bool:
        """Whether words are a field's result that another field only looks at, as a condition compares it."""
        inner = self._fields[self._fields.index("code") :] if "code" in self._fields else []
        looked_at = "result" in inner
        self.unread["hidden"] += looked_at and bool(text.strip())
        return looked_at

    def _said_fldChar(self, element: Element) -> str:  # noqa: N802 - called by the element's name
        """A field's code stands before what it shows; fields stand within one another."""
        kind = attribute(element, "fldCharType")
        if kind == "begin":
            self._fields.append("code")
        elif self._fields and kind == "separate":
            self._fields[-1] = "result"
        elif self._fields and kind == "end":
            self._fields.pop()
        return self._inline(element)

    def _said_footnoteReference(self, element: Element) -> str:  # noqa: N802 - called by the element's name
        return self._note("footnotes", element)

    def _said_endnoteReference(self, element: Element) -> str:  # noqa: N802
        return self._note("endnotes", element)

    def _note(self, kind: str, element: Element) -> str:
        label = f"[{1 + len(self._notes)}]"
        self._notes.append((kind, attribute(element, "id") or "", label))
        return label

    def _said_txbxContent(self, element: Element) -> str:  # noqa: N802
        self._boxes += self._blocks(element)
        return ""

    def _said_textpath(self, element: Element) -> str:
        """Words drawn as a shape, as a watermark's."""
        return attribute(element, "string") or ""

    def _said_drawing(self, element: Element) -> str:
        self._boxes += drawn_lines(self._package, self._part, element)
        return self._with_pictures(element)

    def _said_pict(self, element: Element) -> str:
        return self._with_pictures(element)

    def _said_object(self, element: Element) -> str:
        self.unread["embedded"] += 1
        return self._inline(element)

    def _with_pictures(self, element: Element) -> str:
        self.unread["picture"] += sum(local(each) in ("blip", "imagedata") for each in element.iter())
        return self._inline(element)

    def _said_checkBox(self, element: Element) -> str:  # noqa: N802
        checked = first(element, "checked")
        return "☒" if switched_on(checked if checked is not None else first(element, "default")) else "☐"

    def _said_ddList(self, element: Element) -> str:  # noqa: N802
        """A list to choose from: what was chosen."""
        entries = [attribute(entry, "val") or "" for entry in children(element, "listEntry")]
        chosen = _number(first(element, "result"), _number(first(element, "default"), 0))
        return entries[chosen] if chosen < len(entries) else ""

    def _said_f(self, element: Element) -> str:
        """A formula's fraction on one line."""
        over, under = first(element, "num"), first(element, "den")
        if over is None or under is None:
            return self._inline(element)
        return f"{self._inline(over)}/{self._inline(under)}"

    def _said_rt(self, element: Element) -> str:
        """How a word is pronounced, above it."""
        return f"({self._inline(element)})"

    def _said_p(self, element: Element) -> str:
        return " ".join(self._paragraph(element))

    def _is_hidden(self, run: Element) -> bool:
        properties = first(run, "rPr")
        paragraph = run.getparent()
        styles = [first(properties, "rStyle"), first(paragraph, "pPr", "pStyle")]
        if any(style is not None and attribute(style, "val") in self._hidden_styles for style in styles):
            return first(properties, "vanish") is None or switched_on(first(properties, "vanish"))
        if properties is None:
            return False
        if switched_on(first(properties, "vanish")) or 0 < _number(first(properties, "sz"), 99) < SMALLEST_SIZE:
            return True
        return _is_white_on_white(run, properties)

    # --- what stands beside the text ---

    def _furniture(self, reference: str) -> Iterator[str]:
        """Headers or footers that are shown, each of their lines that says something."""
        settings = next(self._package.related(self._main, "settings"), None)
        even = settings is not None and switched_on(first(settings.root, "evenAndOddHeaders"))
        for section in (element for element in self._main.root.iter() if local(element) == "sectPr"):
            for found in children(section, reference):
                kind, target = (
                    attribute(found, "type"),
                    self._main.targets.get(attribute(found, "id") or "", ("", ""))[1],
                )
                part = self._package.part(target) if target else None
                if part is None:
                    continue
                lines = [line for line in self._lines_of(part) if line.strip()]
                shown = {"first": switched_on(first(section, "titlePg")), "even": even}.get(kind or "", True)
                if shown:
                    yield from lines
                else:
                    self.unread["hidden"] += bool(lines)

    def _lines_of(self, part: Part) -> Iterator[str]:
        outside, self._part = self._part, part
        yield from self._blocks(part.root)
        self._part = outside

    def _note_lines(self) -> Iterator[str]:
        for kind in ("footnotes", "endnotes"):
            part = next(self._package.related(self._main, kind), None)
            if part is None:
                continue
            notes = {
                attribute(note, "id"): note for note in part.root if attribute(note, "type") in (None, "normal")
            }
            for found, key, label in list(self._notes):
                note = notes.pop(key, None) if found == kind else None
                if note is not None:
                    words = " ".join(" ".join(self._blocks(note)).split())
                    yield f"{label} {words}"
            # What nothing refers to stands nowhere on paper.
            self.unread["hidden"] += sum(bool("".join(self._blocks(note)).strip()) for note in notes.values())

    def _comment_lines(self) -> Iterator[str]:
        for part in self._package.related(self._main, "comments"):
            for comment in children(part.root, "comment"):
                words = " ".join(" ".join(self._blocks(comment)).split())
                if words:
                    author = (attribute(comment, "author") or "").strip()
                    yield f"Comment by {author}: {words}" if author else f"Comment: {words}"


def _within(container: Element, name: str) -> Iterator[Element]:
    """The elements of a name in a table or row, also those in content controls and tracked insertions."""
    for child in container:
        found = local(child)
        if found == name:
            yield child
        elif found not in SILENT and found not in ("p", "tbl", "tr", "tc"):
            yield from _within(child, name)


def _number(element: Element | None, otherwise: int) -> int:
    value = "" if element is None else attribute(element, "val") or ""
    return min(int(value), 1000) if value.isascii() and value.isdigit() and len(value) < 10 else otherwise


def _hidden_styles(part: Part | None) -> frozenset[str]:
    """The ids of styles whose text is hidden, by themselves or by the style that they are based on."""
    if part is None:
        return frozenset()
    styles = {attribute(style, "styleId") or "": style for style in children(part.root, "style")}
    return frozenset(name for name in styles if _hides(styles, name))


def _hides(styles: dict[str, Element], name: str) -> bool:
    for _ in range(len(styles)):
        style = styles.get(name)
        vanish = first(style, "rPr", "vanish")
        if vanish is not None:
            return switched_on(vanish)
        based = first(style, "basedOn")
        if based is None:
            return False
        name = attribute(based, "val") or ""
    return False


def _is_white_on_white(run: Element, properties: Element) -> bool:
    """White words that no shading makes visible; in tables and text boxes somebody else may paint the ground."""
    colour = first(properties, "color")
    if colour is None or (attribute(colour, "val") or "").lower() != "ffffff":
        return False
    if first(properties, "shd") is not None or first(properties, "highlight") is not None:
        return False
    for parent in run.iterancestors():
        if local(parent) in ("tbl", "txbxContent", "hdr", "ftr") or first(parent, "pPr", "shd") is not None:
            return False
    return True
