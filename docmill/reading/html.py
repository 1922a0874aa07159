"""HTML to text as a browser would show it: tables as columns, without scripts and without what is hidden."""

from __future__ import annotations

import re
from collections import Counter

import lxml.etree
import lxml.html
from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig

from docmill.errors import Unreadable
from docmill.reading.cleaning import tidy
from docmill.reading.decoding import decode
from docmill.reading.media import HTML
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of
from docmill.reading.visibility import ELSEWHERE, UNSEEN, hidden_elements

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*+=\s*+[\"']?\s*+([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"^\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")

UNSHOWN_FIELDS = frozenset({"hidden", "password", "image", "file", "color", "range"})
SOFT_HYPHEN = "\xad"
"""Where a word may be divided; a browser shows it only where it does divide the word."""


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:
    """The visible text of a page, its title first. Raises Unreadable (too_large for length or depth)."""
    decoded = decode(body, charset or _declared(body))
    unread: Counter[WarningKind] = Counter()
    text = text_of(decoded.text, limits, unread)
    return reading_of(text, HTML, warnings=[*decoded.warnings, *warnings_of(unread)])


def text_of(markup: str, limits: Limits, unread: Counter[WarningKind]) -> str:
    """Returns the visible text of markup, and counts what nobody sees of it.

    Raises Unreadable (too_large for length or depth).
    """
    tree = _tree(markup)
    if tree is None:
        return ""
    _require_depth(tree, limits)
    title = " ".join((tree.findtext(".//head/title") or "").split())
    _drop_unseen(tree, unread)
    text = tidy(Inscriptis(tree, ParserConfig()).get_text().replace(SOFT_HYPHEN, ""))
    require_length(len(text), limits)
    return text if not title or title in text else f"{title}\n\n{text}"


def _declared(body: bytes) -> str | None:
    match = _XML_CHARSET.search(body[:1024]) or _META_CHARSET.search(body[:4096])
    if match is None:
        return None
    name = match[1].decode("ascii")
    # The declaration was read byte by byte, so it cannot be true of an encoding with wider characters.
    return None if name.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")) else name


def _tree(markup: str) -> lxml.html.HtmlElement | None:
    markup = _DECLARATION.sub("", markup.replace("\0", ""), count=1)
    # Without huge_tree the parser silently leaves out what lies deeper than 256 elements.
    parser = lxml.html.HTMLParser(huge_tree=True, no_network=True, remove_comments=True, remove_pis=True)
    try:
        return lxml.html.document_fromstring(markup, parser=parser)
    except lxml.etree.ParserError:
        # The parser's word for a document without any element.
        return None


def _require_depth(tree: lxml.html.HtmlElement, limits: Limits) -> None:
    depth = 0
    for event, _ in lxml.etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > limits.max_depth:
            raise Unreadable(
                "too_large", f"the HTML nests more than {limits.max_depth} elements: submit its text alone"
            )


def _drop_unseen(tree: lxml.html.HtmlElement, unread: Counter[WarningKind]) -> None:
    for element in list(hidden_elements(tree)):
        if element.getparent() is not None:
            unread["hidden"] += element.tag not in UNSEEN and bool("".join(element.itertext()).strip())
            unread["embedded"] += element.tag in ELSEWHERE
            element.drop_tree()
    for field in list(tree.iter("input")):
        _write_out(field)


def _write_out(field: lxml.html.HtmlElement) -> None:
    """Puts into the text what a form's field shows: what was filled in, or whether it is ticked."""
    kind = (field.get("type") or "text").lower()
    said = "" if kind in UNSHOWN_FIELDS else field.get("value") or ""
    if kind in ("checkbox", "radio"):
        said = "☒" if "checked" in field.attrib else "☐"
    field.tail = f"{said} {field.tail or ''}" if said else field.tail
