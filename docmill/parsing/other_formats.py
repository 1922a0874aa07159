"""Whether a value that is JSON is but a member of what is none: YAML, TOML, or what a constructor is given.

``lines: []`` between other lines of YAML is no answer, and neither is the list in ``Invoice(total=5, lines=[])``.
"""

from __future__ import annotations

import re

from docmill.parsing.marks import is_answer_heading

__all__ = ["is_member"]

QUOTES = "\"'"
ANSWER = re.compile(
    r"(?:answer|output|result|response|reply|json|data|final|extracted|extraction)s?"
    r"(?:_?(?:answer|output|result|json|data|list|dict|obj))?",
    re.IGNORECASE,
)
ASSIGNED = re.compile(
    rf"(?:(?:const|let|var|val|final|auto)\s+)?{ANSWER.pattern}(?:\s*:\s*\w+)?\s*", re.IGNORECASE
)
NAMED = re.compile(r"(?P<name>[^\n]{0,100}?)(?P<sign>[:：=])[ \t]*")
NAME = re.compile(r"[^\WA-Z][\w$.:-]{0,60}|[$@][\w$.-]{1,60}")
"""As a program writes it; ``Final answer`` is none."""
MEMBER = re.compile(r"""\A(?:(?:-(?:[ \t]|\Z))?[^\s#*>|{\["'`-][^\n]{0,60}?[:=](?:[ \t]|\Z)|-(?:[ \t]+\S|\Z))""")
ASSIGNMENT = re.compile(r"\S = ")
WITHIN_A_TEXT = re.compile(r"""[=(,:]\s*(?:'[^'\n]*[^'\s(\[{][^'\n]*|"[^"\n]+)\Z""")
STANDS_ALONE = re.compile(r"(?:\A|[:：=(])\s*\Z")
ENDS_ALONE = re.compile(r"\s*(?:[).;,!?]|\n|\Z)")


def is_member(text: str, start: int, end: int, *, since: int) -> bool:
    """Returns whether the value from ``start`` to ``end`` belongs to lines, or to a text, of another format.

    ``since`` is where the words before it begin: behind the last value or mark.
    """
    line_start = max(text.rfind("\n", 0, start) + 1, start - 100, since)
    before = text[line_start:start]
    if _is_within_a_text(before) or (text[start] in QUOTES and not _is_alone(before, text, end)):
        return True
    named = NAMED.fullmatch(before)
    if named is None:
        return before.strip() == "-" and _members_stand_beside(text, line_start, end, MEMBER)
    line = ASSIGNMENT if named["sign"] == "=" else MEMBER
    stands_among_others = _members_stand_beside(text, line_start, end, line)
    if text[start] in QUOTES and not is_answer_heading(before):
        return True
    name = named["name"].strip(" \t-`")
    if named["sign"] == "=":
        return stands_among_others or ASSIGNED.fullmatch(name) is None
    if NAME.fullmatch(name):
        return stands_among_others or ANSWER.fullmatch(name) is None
    return stands_among_others and not is_answer_heading(before)


def _is_within_a_text(before: str) -> bool:
    is_open = before.count('"') % 2 == 1 and not before.endswith('"')
    return is_open or WITHIN_A_TEXT.search(before) is not None


def _is_alone(before: str, text: str, end: int) -> bool:
    return STANDS_ALONE.search(before) is not None and ENDS_ALONE.match(text, end) is not None


def _members_stand_beside(text: str, line_start: int, end: int, member: re.Pattern[str]) -> bool:
    """Whether the line before, or the one behind, looks like a member."""
    before = text[max(0, line_start - 200) : line_start].removesuffix("\n").rpartition("\n")[2]
    before = before if text[line_start - 1 : line_start] == "\n" else ""
    behind = text[end : end + 200].partition("\n")[2].partition("\n")[0]
    return any(member.search(line.strip()) for line in (before, behind))
