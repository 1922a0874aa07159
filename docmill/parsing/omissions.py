"""Signs that something was left out: an ellipsis, "12 more items", "for brevity".

A model that answers with half a list says so in one of these ways, and what it says so in (a comment, an item, a
sentence beside the answer) is just what a tolerant reader passes over. Half a list is no answer.
"""

from __future__ import annotations

import re
from typing import Any

from docmill.errors import ReplyInvalid
from docmill.parsing.bounds import below

__all__ = ["check_whole", "in_comment", "in_prose", "in_words"]

THINGS = (
    r"(?:items?|entries|entry|rows?|lines?|elements?|records?|values?|fields?|objects?|results?|members?|pages?)"
)
MORE = r"(?:more|other|others|additional|further|remaining)"
GOES_ON = r"(?:and so (?:on|forth)|et ?cetera|etc\.?|and more|und so weiter|usw\.?|y así|и т\. ?д\.?|等等?)"

PLACEHOLDER = re.compile(
    rf"[\s\[(<]*(?:(?:\.{{3,}}|…)\W*(?:\d+\W+)?(?:\w+\W*)?"
    rf"|(?:(?:\.{{3,}}|…)\s*)?(?:{GOES_ON}|(?:and )?(?:\d+ {MORE}(?: {THINGS})?|{MORE} {THINGS})))[\s\])>.…]*",
    re.IGNORECASE,
)
"""A whole item, or a whole name, that stands for others."""
UNQUOTED = re.compile(rf"\.{{3}}|…|\b(?:{MORE}|rest|omitted|truncated|same|{GOES_ON})(?!\w)", re.IGNORECASE)
COMMENT = re.compile(
    r"\.{3}|…|等"
    r"|\b(?:rest|remain\w*|more|etc|et cetera|omit\w*|skip\w*|truncat\w*|elided|elision|abbreviat\w*|shorten\w*"
    r"|brevity|continu\w*|so (?:on|forth)|similar\w*|likewise|same|repeat\w*|others?|additional|further|snip\w*"
    r"|todo|left out|fill in|placeholder"
    r"|usw|weitere[ns]?|übrige[ns]?|restliche[ns]?|suite|restants?|restantes?|demás)\b"
    # A member in a comment was taken back, or it follows a line's end that was lost.
    r"|[\"'“]\s*[:：]",
    re.IGNORECASE,
)
LEFT_OUT = r"(?:omitted|truncated|shortened|abbreviated|left out|elided|cut off)"
PROSE = re.compile(
    rf"\bfor brevity\b|\b(?:the )?(?:rest|remaining|remainder)\b[^.!?\n]{{0,30}}\b{THINGS}\b"
    rf"|\b{THINGS} (?:were |was |are |is |have been |has been )?{LEFT_OUT}\b"
    rf"|\b\d+ (?:more|additional|further|remaining|other) {THINGS}\b"
    rf"|\b(?:list|array|table|output|response|answer|json) (?:was |is |has been )?(?:{LEFT_OUT}|continues)\b"
    rf"|\((?:{LEFT_OUT}|continues)\b",
    re.IGNORECASE,
)


def in_comment(comment: str) -> bool:
    """Returns whether a comment within a value says that something is missing there."""
    return COMMENT.search(comment) is not None


def in_prose(words: str) -> bool:
    """Returns whether a sentence beside a value says that it is not all."""
    return PROSE.search(words) is not None


def in_words(words: str) -> bool:
    """Returns whether words without quotes, where a value should be, stand for something else."""
    return UNQUOTED.search(words) is not None


def check_whole(value: Any, place: str = "") -> None:
    """Raises ReplyInvalid where an item or a name in a value stands for others that were left out."""
    if isinstance(value, dict):
        for name, member in value.items():
            _check_item(name, place)
            check_whole(member, below(place, name))
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check_item(member, below(place, index))
            check_whole(member, below(place, index))


def _check_item(item: Any, place: str) -> None:
    if isinstance(item, str) and len(item) < 100 and PLACEHOLDER.fullmatch(item):
        raise ReplyInvalid(
            f"{place or 'the answer'}: something was left out",
            problems=((place, "must hold everything: nothing may be left out or stand for others"),),
        )
