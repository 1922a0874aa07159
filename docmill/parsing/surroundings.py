"""What stands around a value, and says that it is a part of another, a remark in prose, or one of several."""

from __future__ import annotations

import re
from typing import Any

from docmill.parsing.other_formats import is_member
from docmill.parsing.texts import SPACE, Part

__all__ = [
    "EDGES",
    "TUPLE_BEGINS",
    "UNSEEN",
    "check_around",
    "has_loose_members",
    "has_tuples",
    "is_reference",
    "is_remark",
    "looks_like_a_value",
]

UNSEEN = "\ufeff\u180e\u200b\u200c\u200d\u2060\0"
EDGES = (
    UNSEEN
    + " \t\r\n\v\f\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000"
    + "".join(map(chr, range(0x2000, 0x200B)))
)
QUOTE = "\"'“”„‘’‚`´«»＂＇「」『』"
OPENS_TUPLE = "(（"
CLOSES_TUPLE = (")", "）")

BLANK = r"[\s\u200b-\u200d\u2060\ufeff]"
BELONGS_TO_MORE = re.compile(
    rf"(?:[{QUOTE}]\s*(?:[:：=]|=>)|(?:[{QUOTE}}}\]｝］\d]|\b(?:true|false|null))\s*,)\s*\Z", re.IGNORECASE
)
"""A name and a colon, or an item and a comma: the value behind them is a member or an item itself."""
FILLER = rf"{BLANK}|//[^\n]*+\n|/\*[^*]*+\*/|# [^\n]*+\n|<!--[^-]*+-->"
GOES_ON = re.compile(
    rf"(?:{FILLER}|[}}\])｝］])*+(?:[,;，；、](?:{FILLER})*+(?:[{QUOTE}]|[-\d]|[^\W\d]\w{{0,60}}\s*+[:=：])"
    rf"|,?\s*+[{QUOTE}][^{QUOTE}\n]{{1,200}}[{QUOTE}]\s*+[:：=])"
)
"""A comma and another member or item."""
STRAY_CLOSE = re.compile(rf"(?:{FILLER}|,)*+(?P<sign>[}}\]｝］])|{BLANK}*+,{BLANK}*+[)）]")
LOOSE = re.compile(
    rf"&quot;|[{QUOTE}]\s*(?:[:：]|=>)|(?<!\A)[}}\]｝］]|[{QUOTE}]\s*,[^()\n]{{0,200}}\)|^[^()\n]{{0,200}}[{QUOTE}]\s*[)）]",
    re.MULTILINE,
)
HARMLESS = re.compile(r"\([\w {}.]{0,60}\)|[:;]-?\)")
"""Brackets as in prose, and a face."""
TUPLE_FOR_SURE = re.compile(r"\(\s*(?:[-+]?\d[\d.]*|\"[^\"\n]*\"|'[^'\n]*')\s*,")
VALUE_BEGINS = re.compile(
    rf"[{{\[｛［](?:{BLANK}|\\[nrtu]|[{{\[｛［(])*(?:[\\\"'“„”‘`«＂]|[\w$-]+\s*(?:[:：=]|=>)|(?<![{{｛])[-+.]?\d)"
)
SIGNS_OF_MEMBERS = re.compile(rf"[{QUOTE}:：=,，]|&\w{{1,10}};")
SIGNS_OF_ITEMS = re.compile(rf"[{QUOTE},，\n]|&\w{{1,10}};")
REMARK = re.compile(r"[\[［][^\[\]{}［］｛｝\"“”„«»＂「」『』]*[\]］]")
"""A list without quotes and objects, which in prose is a footnote or a remark."""
NAME = re.compile(r"[{｛]\s*+[^\s{}\[\]｛｝［］]*+\s*+[}｝]")
"""One word in braces, as in ``{name}``, which in prose is a place that is filled in."""
WORDS = re.compile(r"[{｛][^{}\[\]｛｝［］]*[}｝]")
REFERENCE = re.compile(r"\[(?:\d{1,3}|[A-Za-z][A-Za-z .:'’-]*)\]")
ANNOUNCED = (":", "：", "=", "return")

TUPLE_BEGINS = re.compile(rf"\((?={SPACE.pattern}(?:[{QUOTE}({{\[]|[-+.]?\d))")


def check_around(text: str, value: Any, start: int, end: int, *, since: int, follows_another: bool) -> None:
    """Raises Doubt where a value belongs to what stands around it: a bracket is lost, or is there twice."""
    if not follows_another and BELONGS_TO_MORE.search(text, max(0, start - 100), start):
        raise Part("the value belongs to another, of which a bracket is missing")
    if is_member(text, start, end, since=since):
        raise Part("the value is a member of what is no JSON")
    if GOES_ON.match(text, end):
        raise Part("the value goes on behind its last bracket")
    before = text[max(0, start - 20) : start].rstrip(EDGES)[-1:] or " "
    if before in OPENS_TUPLE and text[end : end + 20].lstrip(EDGES)[:1] not in CLOSES_TUPLE:
        raise Part("the value belongs to a tuple that cannot be read")
    if text[end : end + 20].lstrip(EDGES)[:1] in tuple(QUOTE.replace("`", "")):
        raise Part("a quote is missing")
    stray = STRAY_CLOSE.match(text, end)
    one_more = (
        isinstance(value, dict)
        and stray
        and (stray["sign"] or " ") in "}｝"
        and "," not in stray[0]
        and before not in QUOTE + ":：="
    )
    if stray and not (one_more and _ends_with_its_objects(value)):
        raise Part("a bracket is lost, or is there twice")


def _ends_with_its_objects(value: Any) -> bool:
    """Whether in an object, and in those within, nothing follows an object.

    Then a bracket that is one too many at its end cannot be the one of another that was closed too early.
    """
    while isinstance(value, dict) and value:
        *members, value = value.values()
        if any(isinstance(member, dict) for member in members):
            return False
    return not isinstance(value, list) or not any(isinstance(item, dict | list) for item in value)


def looks_like_a_value(text: str, start: int, end: int) -> bool:
    """Returns whether brackets that cannot be read were meant as a value, and not as ``{name}`` in prose."""
    signs = SIGNS_OF_MEMBERS if text[start] in "{｛" else SIGNS_OF_ITEMS
    shapes = (VALUE_BEGINS.match(text, start), signs.search(text, start, end), REMARK.fullmatch(text, start, end))
    has_words = WORDS.fullmatch(text, start, end) and not NAME.fullmatch(text, start, end)
    return bool(has_words) or any(shape is not None for shape in shapes)


def is_remark(text: str, start: int, end: int) -> bool:
    """Returns whether a list without quotes stands within a line of prose that does not announce it."""
    if REMARK.fullmatch(text, start, end) is None:
        return False
    before = text[text.rfind("\n", 0, start) + 1 : start].rstrip(EDGES)
    line_end = text.find("\n", end)
    behind = text[end : line_end if line_end >= 0 else len(text)]
    return not before.endswith(ANNOUNCED) and (before + behind).strip(EDGES + QUOTE + "]});,.-*>•") != ""


def is_reference(text: str, start: int, end: int) -> bool:
    """Returns whether a remark is one as ``[1]`` or ``[see note]``."""
    return REFERENCE.fullmatch(text, start, end) is not None


def has_loose_members(words: str) -> bool:
    """Returns whether members, items or brackets stand beside the values: of one whose own brackets are lost."""
    return LOOSE.search(words) is not None and words.strip(EDGES + "}]") != ""


def has_tuples(words: str, *, for_sure: bool) -> bool:
    """Returns whether unreadable brackets beside the values look like a tuple, ``for_sure`` or perhaps."""
    if for_sure:
        return TUPLE_FOR_SURE.search(words) is not None
    return not set("()（）").isdisjoint(HARMLESS.sub("", words))
