"""HTML to text as a browser would show it: tables as columns, without scripts and without what is hidden."""

from __future__ import annotations

import re
from itertools import islice

import lxml.etree
import lxml.html
from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig

from docmill.errors import Unreadable
from docmill.reading.cleaning import tidy
from docmill.reading.decoding import decode
from docmill.reading.media import HTML
from docmill.reading.values import Limits, Reading, reading_of, require_length

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_XML_CHARSET = re.compile(rb"^\s*<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")

# A browser shows none of these; text that no person saw must not reach a model either.
_UNSEEN = frozenset({"script", "style", "template", "object", "embed", "iframe", "svg", "math", "datalist"})
_HIDING = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:
    """The visible text of a page, its title first. Raises Unreadable (too_large for length or depth)."""
    decoded = decode(body, charset or _declared(body))
    text = text_of(decoded.text, limits)
    return reading_of(text, HTML, warnings=decoded.warnings)


def text_of(markup: str, limits: Limits) -> str:
    """The visible text of markup. Raises Unreadable (too_large for length or depth)."""
    tree = _tree(markup)
    if tree is None:
        return ""
    _require_depth(tree, limits)
    title = " ".join((tree.findtext(".//head/title") or "").split())
    _drop_unseen(tree)
    text = tidy(Inscriptis(tree, ParserConfig()).get_text())
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


def _drop_unseen(tree: lxml.html.HtmlElement) -> None:
    hidden = [element for element in islice(tree.iter(), 1, None) if _is_unseen(element)]
    for element in hidden:
        if element.getparent() is not None:
            element.drop_tree()


def _is_unseen(element: lxml.html.HtmlElement) -> bool:
    if element.tag in _UNSEEN or "hidden" in element.attrib:
        return True
    return bool(_HIDING.search(element.get("style", "")))
