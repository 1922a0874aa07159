"""Which elements of a page nobody sees, by their attributes, their styles and the page's own style sheets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import lxml.html
import tinycss2
from cssselect import HTMLTranslator, SelectorError
from lxml import etree

__all__ = ["hidden_elements"]

# A browser shows none of these; text that no person saw must not reach a model either.
UNSEEN = frozenset(
    {
        *("script", "style", "template", "datalist", "object", "embed", "iframe", "annotation", "annotation-xml"),
        *("metadata", "desc", "defs"),
    }
)
ELSEWHERE = frozenset({"object", "embed", "iframe"})
"""What shows another file in its place."""
SHOWN_ON = frozenset({"", "all", "screen"})
"""Media whose rules hold for somebody who reads the page."""
MOST_RULES = 2000
"""Style rules that are looked at; a page has a few hundred."""
MOST_MATCHES = 200_000
"""Elements that rules may name in all."""
LONGEST_SHEET = 500_000
TELLING = frozenset(
    {
        *(
            "display",
            "visibility",
            "font-size",
            "opacity",
            "max-height",
            "height",
            "max-width",
            "width",
            "overflow",
        ),
        *("text-indent", "position", "left", "top", "color", "background", "background-color", "mso-hide", "clip"),
        *("background-image", "clip-path", "transform"),
    }
)
"""Properties that can hide words."""
_ZERO = re.compile(r"\+?0*\.?0+(?:px|pt|em|rem|ex|%|vh|vw)?")
_TINY = re.compile(r"(?:0*\.[0-9]+|1)px")
_FAR = re.compile(r"-[0-9]{3,}(?:\.[0-9]+)?(?:px|pt|em|rem|%)?")
_HEX = re.compile(r"#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})")
_RGB = re.compile(r"rgba?\((\d{1,3}),(\d{1,3}),(\d{1,3})(?:,([0-9.]{1,8})%?)?\)")
_CLIPPED = re.compile(
    r"rect\((?:[01](?:px)?,?){4}\)|inset\((?:[5-9]\d|100)%\)|circle\(0(?:px|%)?\)|scale\(0(?:,0)?\)"
)
NAMED_WHITE = frozenset({"white", "transparent", "snow", "ghostwhite", "floralwhite", "whitesmoke"})
LIGHTEST = 250
"""Of 255, in each colour: from here on nobody tells it from white."""
IMPORTANT = " !"
"""Behind a value that holds over others."""


def hidden_elements(tree: lxml.html.HtmlElement) -> Iterator[lxml.html.HtmlElement]:
    """Yields the elements whose words a browser shows to nobody."""
    by_rule = _by_rule(tree)
    for element in tree.iter():
        if not isinstance(element.tag, str) or element is tree:
            continue
        closed = element.tag == "dialog" and "open" not in element.attrib
        if closed or element.tag in UNSEEN or "hidden" in element.attrib:
            yield element
            continue
        style = _style_of(element, by_rule)
        if style and (_hides(style) or (_is_white(style.get("color", "")) and not _is_painted(element, by_rule))):
            yield element


def _style_of(element: lxml.html.HtmlElement, by_rule: Mapping[object, Mapping[str, str]]) -> dict[str, str]:
    """What holds for an element: its own attributes over the page's rules, but for those that are important."""
    ruled, own = by_rule.get(element, {}), _declared(element.get("style", ""))
    style = {"color": element.get("color", "").lower()} if element.tag == "font" and element.get("color") else {}
    style |= {**ruled, **own, **{name: value for name, value in ruled.items() if value.endswith(IMPORTANT)}}
    return {name: value.removesuffix(IMPORTANT) for name, value in style.items()}


def _is_white(colour: str) -> bool:
    """Whether nobody tells a colour from white paper, or it has no ink at all."""
    if colour in NAMED_WHITE:
        return True
    if _HEX.fullmatch(colour):
        digits = colour[1:] if len(colour) > 5 else "".join(digit * 2 for digit in colour[1:])
        shares = [int(digits[at : at + 2], 16) for at in range(0, len(digits), 2)]
        return min(shares[:3]) >= LIGHTEST or (len(shares) == 4 and shares[3] == 0)
    found = _RGB.fullmatch(colour)
    if found is None:
        return False
    clear = found[4] is not None and not found[4].strip("0.")
    return clear or min(int(found[part]) for part in (1, 2, 3)) >= LIGHTEST


def _hides(style: Mapping[str, str]) -> bool:
    if style.get("display") == "none" or style.get("visibility") in ("hidden", "collapse"):
        return True
    if style.get("mso-hide") == "all" or any(_is_zero(style.get(name)) for name in ("font-size", "opacity")):
        return True
    clipped = any(_CLIPPED.fullmatch(style.get(name, "")) for name in ("clip", "clip-path", "transform"))
    if clipped or _TINY.fullmatch(style.get("font-size", "")):
        return True
    if style.get("overflow") == "hidden":
        return any(_is_zero(style.get(name)) for name in ("max-height", "height", "max-width", "width"))
    if style.get("position") in ("absolute", "fixed"):
        return any(_FAR.fullmatch(style.get(name, "")) for name in ("left", "top"))
    return bool(_FAR.fullmatch(style.get("text-indent", "")))


def _is_zero(value: str | None) -> bool:
    return value is not None and bool(_ZERO.fullmatch(value))


def _is_painted(element: lxml.html.HtmlElement, by_rule: Mapping[object, Mapping[str, str]]) -> bool:
    """Whether the element lies on a ground that somebody gave a colour or a picture."""
    for each in (element, *element.iterancestors()):
        style = _style_of(each, by_rule)
        ground = style.get("background-color") or style.get("background") or each.get("bgcolor", "")
        if each.get("background") or style.get("background-image", "none") != "none":
            return True
        if ground and not _is_white(ground.lower()) and ground != "none":
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class _Rule:
    selector: str
    style: Mapping[str, str]


def _by_rule(tree: lxml.html.HtmlElement) -> dict[object, dict[str, str]]:
    """What the page's style sheets say of each element, later rules over earlier ones."""
    found: dict[object, dict[str, str]] = {}
    matches = 0
    for rule in _rules(tree):
        for element in _selected(tree, rule.selector):
            matches += 1
            if matches > MOST_MATCHES:
                return found
            known = found.setdefault(element, {})
            known |= {
                name: value
                for name, value in rule.style.items()
                if value.endswith(IMPORTANT) or not known.get(name, "").endswith(IMPORTANT)
            }
    return found


def _rules(tree: lxml.html.HtmlElement) -> Iterator[_Rule]:
    count = 0
    for sheet in tree.iter("style"):
        text = (sheet.text or "")[:LONGEST_SHEET]
        for selector, style in _sheet_rules(
            tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True)
        ):
            count += 1
            if count > MOST_RULES:
                return
            yield _Rule(selector=selector, style=style)


def _sheet_rules(nodes: list[tinycss2.ast.Node]) -> Iterator[tuple[str, dict[str, str]]]:
    for node in nodes:
        if node.type == "qualified-rule":
            style = _declared(node.content)
            if style:
                yield tinycss2.serialize(node.prelude), style
        elif _is_for_readers(node):
            yield from _sheet_rules(tinycss2.parse_rule_list(node.content, skip_comments=True))


def _is_for_readers(node: tinycss2.ast.Node) -> bool:
    if node.type != "at-rule" or node.lower_at_keyword != "media" or node.content is None:
        return False
    return tinycss2.serialize(node.prelude).strip().lower() in SHOWN_ON


def _selected(tree: lxml.html.HtmlElement, selector: str) -> Iterator[lxml.html.HtmlElement]:
    try:
        path = HTMLTranslator().css_to_xpath(selector)
        yield from tree.xpath(path)
    except (SelectorError, etree.XPathError, RecursionError, ValueError):
        return  # a selector for what only a browser knows (:hover), or one that is broken


def _declared(style: object) -> dict[str, str]:
    """The telling properties of a list of declarations, in lower case and without spaces."""
    if isinstance(style, str) and not style.strip():
        return {}
    parsed = tinycss2.parse_declaration_list(style, skip_comments=True, skip_whitespace=True)
    return {
        each.lower_name: "".join(tinycss2.serialize(each.value).lower().split()) + IMPORTANT * each.important
        for each in parsed
        if each.type == "declaration" and each.lower_name in TELLING
    }
