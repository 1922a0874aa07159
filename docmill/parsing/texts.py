"""Reading one quoted text of what is almost JSON: where it ends, and what its escapes mean; linear in its length.

The danger is a quote that is missing. Then a text runs on over a comma and a name, two members become one, and
what comes out looks right. So a text may hold a quote that was not escaped only where its quotes come in pairs
as in print (``the "debtor", who``), or measure inches, or stand within a word; and never where a name's colon
follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, TypeAlias

__all__ = [
    "BARE_KEY",
    "COLONS",
    "OPENING",
    "QUOTES",
    "SEPARATORS",
    "SPACE",
    "STARTS",
    "Doubt",
    "Part",
    "Role",
    "another_member_begins",
    "ends_oddly",
    "has_lone_quote",
    "read_text",
]

Role: TypeAlias = Literal["key", "member", "item", "argument"]
"""What a text is: the name of a member, its value, an item of a list or of a tuple; it decides what may follow."""

SPACE = re.compile(r"[\s\u180e\u200b-\u200d\u2060\ufeff]*")
SEPARATORS = ",;，；、"
COLONS = re.compile(r"=>|[:=：]")
CLOSE = "}]｝］"
CLOSE_TUPLE = ")）"
STARTS_COMMENT = ("//", "/*", "# ", "<!--")

STRAIGHT = '"'
ALIKE = "'`´＂＇”’"
"""Quotes that end with the sign that they begin with; within such a text there is at most an apostrophe."""
PAIRED = {
    "“": "”“",
    "„": "“”",
    "‘": "’‘",
    "‚": "‘’",
    "«": "»",
    "‹": "›",
    "「": "」",
    "『": "』",
}
"""Quotes with signs of their own for the end."""
QUOTES = frozenset(STRAIGHT + ALIKE) | PAIRED.keys()
OPENING = QUOTES - set("”’")
"""Those that begin a text also where no comma stands before it."""
FAMILIES = ("“”„", "‘’‚", "«»", "‹›", "「」", "『』")
APOSTROPHES = "'’´"

QUOTED_KEY = re.compile(
    r"""(?:"[^"\n]{1,200}"|'[^'\n]{1,200}'|[“„”][^“”\n]{1,200}[”“]|‘[^’\n]{1,200}’|«[^»\n]{1,200}»|‹[^›\n]{1,200}›"""
    r"""|「[^」\n]{1,200}」|『[^』\n]{1,200}』|`[^`\n]{1,200}`|´[^´\n]{1,200}´|＂[^＂\n]{1,200}＂)\s*(?:[:：]|=>)"""
)
BARE_KEY = re.compile(r"[^\W\d][\w$.-]{0,199}|[$@][\w$.-]{1,199}|\d{1,30}(?:\.\d{1,30})?")
STARTS = re.compile(r"[{\[(｛［]|[-+]?\.?\d|(?:true|false|null|none)\b", re.IGNORECASE)
"""How an item begins that no comma stands before; other words may go on from the one before."""

ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|x[0-9a-fA-F]{2}|\r?\n|.)", re.DOTALL)
ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "\n": "", "\r\n": ""}
SELVES = frozenset("\"'\\/`“”‘’")
ESCAPED_QUOTE = re.compile(r"\\[“”„‘’‚«»‹›「」『』]")
NAMES_GLUED = re.compile(r"[:：=][^,，;；\n]{0,200}[,，;；、]")
"""A name and a value that ran into the next name."""
STRUCTURE = re.compile(r"[,:;]\s|[{}\[\]]")
A_NAME = r"""(?:"[^"\n]{1,60}"|'[^'\n]{1,60}'|[“„‘«「][^“”‘’\n]{1,60}[”“’»」])[^\S\n]*+[:：=]"""
MEMBERS_WITHIN = re.compile(
    rf"[,，;；、][ \t]*+(?://[^\n]{{0,200}}|\#[^\n]{{0,200}})?\n[ \t]{{2}}|[\n,，;][^\S\n]*+{A_NAME}"
)
"""What a text over several lines holds where a quote is missing: the layout of members, or the name of one."""
APOSTROPHE = re.compile(r"(?<=\w)['’´](?=\w)")
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")


class Doubt(ValueError):
    """The text has no reading, or more than one."""

    at: int = 0
    """How far it was read."""
    seen: int = 0
    """How far it was looked at."""
    steps: int = 0
    """How many values were begun."""


class Part(Doubt):
    """What was read is a part of something else."""


def read_text(text: str, at: int, role: Role) -> tuple[str, int]:
    """Reads the text whose opening quote stands at ``at``; returns it, and where it ends. Raises Doubt."""
    for triple in ('"""', "'''"):
        if text.startswith(triple, at):
            return _between(text, at + 3, _end_of_triple(text, at + 3, triple), 3)
    quote = text[at]
    if quote == STRAIGHT:
        end = _end_of_straight(text, at + 1, role)
    elif quote in PAIRED:
        end = _end_of_paired(text, at + 1, PAIRED[quote], role)
    else:
        end = _end_of_alike(text, at + 1, quote, role)
    if role == "key" and NAMES_GLUED.search(text, at, end):
        raise Doubt("a quote is missing")
    return _between(text, at + 1, end, 1)


def ends_oddly(text: str, start: int, end: int) -> bool:
    """Returns whether the text's last quote, before ``end``, may belong to it, and its own be lost.

    A quote that was not escaped stands within, or a backslash before the last one.
    """
    if text.startswith(('"""', "'''"), start):
        return False
    quotes = UNESCAPED.get(text[start])
    inner = quotes.finditer(text, start + 1, end - 1) if quotes else ()
    return text[end - 2] == "\\" or any(text[found.start()] in (STRAIGHT, text[start]) for found in inner)


def has_lone_quote(words: str) -> bool:
    """Returns whether a quote stands in the words that belongs to none within them; an apostrophe is none."""
    plain = APOSTROPHE.sub("", words)
    alone = any(plain.count(sign) % 2 for sign in STRAIGHT + "'`´＂＇")
    return (
        alone
        or any(plain.count(opening) != plain.count(closing) for opening, closing in ("«»", "‹›", "「」", "『』"))
        or plain.count("“") + plain.count("„") != plain.count("”")
    )


def _between(text: str, start: int, end: int, width: int) -> tuple[str, int]:
    raw = text[start:end]
    if width == 1 and MEMBERS_WITHIN.search(raw):
        raise Doubt("a quote is missing")
    meant = _unescaped(raw) if "\\" in raw else raw
    if HALF_CHARACTER.search(meant):
        raise Doubt("a text holds half a surrogate pair")
    return meant, end + width


def _lost(at: int) -> Doubt:
    """Makes the doubt about a text whose end was looked for as far as ``at``."""
    doubt = Doubt("a text does not end: a quote is missing, or was not escaped")
    doubt.seen = at
    return doubt


# --- where a text ends ---


def _unescaped_signs(signs: str) -> re.Pattern[str]:
    """The signs, and every sign that a backslash stands before, so that it can be passed over."""
    return re.compile(rf"\\.|[{re.escape(signs)}]", re.DOTALL)


UNESCAPED = {sign: _unescaped_signs(sign) for sign in STRAIGHT + ALIKE} | {
    sign: _unescaped_signs('"' + next((family for family in FAMILIES if sign in family), ends))
    for sign, ends in PAIRED.items()
}


def _signs(text: str, start: int, quote: str) -> Iterator[int]:
    """Where quotes stand that are of a kind with ``quote`` and not escaped."""
    return (found.start() for found in UNESCAPED[quote].finditer(text, start) if text[found.start()] != "\\")


def _end_of_triple(text: str, start: int, triple: str) -> int:
    end = text.find(triple, start)
    if end < 0:
        raise _lost(len(text))
    return end


def _end_of_straight(text: str, start: int, role: Role) -> int:
    """The first quote, if the text can end there; else the quote behind those that belong to the text."""
    quotes = _signs(text, start, STRAIGHT)
    first = next(quotes, -1)
    if first < 0:
        raise _lost(len(text))
    if _ends(text, first + 1, role):
        return first
    if role == "key":
        raise Doubt("a name holds a quote that was not escaped")
    is_open = _opens(text, start, first, role)
    for at in quotes:
        if is_open:
            _check_inner_close(text, at, role)
            is_open = False
        elif _ends_for_sure(text, at + 1, role):
            _check_content(text, start, at)
            return at
        else:
            is_open = _opens(text, start, at, role)
    raise _lost(len(text))


def _opens(text: str, start: int, at: int, role: Role) -> bool:
    """Whether an inner quote opens a pair; not where it measures inches or stands within a word. Raises Doubt."""
    before, behind = text[at - 1 : at] if at > start else " ", text[at + 1 : at + 2]
    if (before.isspace() or before in "([{,:;-–—/") and behind and not behind.isspace():
        line = text[max(start, at - 200) : at].rstrip(" \t")
        if line.endswith("\n") or (role in ("item", "argument") and line.endswith(tuple(SEPARATORS))):
            raise _lost(at)
        return True
    if (before.isdigit() and behind != '"') or (role == "member" and before.isalnum() and behind.isalnum()):
        return False
    raise _lost(at)


def _check_inner_close(text: str, at: int, role: Role) -> None:
    before, behind = text[at - 1], _sign_behind(text, at + 1)
    if before.isspace() or COLONS.match(behind) or (role in ("item", "argument") and behind in SEPARATORS):
        raise _lost(at)


def _check_content(text: str, start: int, at: int) -> None:
    content = text[start:at]
    if content[0] == STRAIGHT or content[-1].isspace():
        raise _lost(at)
    if any(content.count(left) != content.count(right) for left, right in ("{}", "[]", "()")):
        raise _lost(at)


def _end_of_alike(text: str, start: int, quote: str, role: Role) -> int:
    first, at = True, len(text)
    for at in _signs(text, start, quote):
        if _ends(text, at + 1, role):
            if role == "key" and not first and STRUCTURE.search(text, start, at):
                break
            return at
        first = False
        if quote not in APOSTROPHES or not _within_a_word(text, at):
            break
    raise _lost(at)


def _end_of_paired(text: str, start: int, ends: str, role: Role) -> int:
    """The sign that ends the text; pairs of the same signs may stand within."""
    depth, at = 0, len(text)
    for at in _signs(text, start, text[start - 1]):
        sign = text[at]
        if depth == 0 and sign in ends and _ends_for_sure(text, at + 1, role):
            if len(ESCAPED_QUOTE.findall(text, start, at)) % 2:
                break
            return at
        if sign in APOSTROPHES and _within_a_word(text, at):
            continue
        if sign in PAIRED and (at == start or text[max(start, at - 20) : at].rstrip().endswith(":")):
            break
        if sign != STRAIGHT:
            depth += 1 if sign in PAIRED else -1
        if depth < 0 or COLONS.match(_sign_behind(text, at + 1)):
            break
    raise _lost(at)


def _within_a_word(text: str, at: int) -> bool:
    return text[at - 1].isalnum() and text[at + 1 : at + 2].isalpha()


def _sign_behind(text: str, at: int) -> str:
    behind = SPACE.match(text, at)
    end = behind.end() if behind else at
    return text[end : end + 2]


def _ends(text: str, at: int, role: Role) -> bool:
    """Whether a text can end at ``at``, by what follows."""
    behind = _behind(text, at)
    sign = text[behind : behind + 1]
    if not sign or sign in SEPARATORS or sign in CLOSE or text.startswith(STARTS_COMMENT, behind):
        return True
    if role == "argument" and sign in CLOSE_TUPLE:
        return True
    if role == "key":
        return COLONS.match(text, behind) is not None or behind > at
    return sign == "+" or _another_begins(text, at, behind, role)


def _another_begins(text: str, at: int, behind: int, role: Role) -> bool:
    """Whether another member or item follows, though no comma stands between."""
    if role == "member":
        return another_member_begins(text, behind)
    return behind > at and (text[behind] in OPENING or STARTS.match(text, behind) is not None)


def another_member_begins(text: str, at: int) -> bool:
    """Returns whether a member begins without a comma before: a quoted name, or on a new line a bare one."""
    if QUOTED_KEY.match(text, at):
        return True
    before = text[max(0, at - 200) : at]
    return "\n" in before[len(before.rstrip()) :] and _bare_key_stands(text, at)


def _bare_key_stands(text: str, at: int) -> bool:
    found = BARE_KEY.match(text, at)
    return found is not None and text[found.end() : found.end() + 1] in (":", "：")


def _ends_for_sure(text: str, at: int, role: Role) -> bool:
    """Whether a text that holds quotes ends here: behind a comma stands what a value of its own begins with."""
    if not _ends(text, at, role):
        return False
    behind = _behind(text, at)
    if text[behind : behind + 1] not in SEPARATORS or role == "key":
        return True
    after = _behind(text, behind + 1)
    if text[after : after + 1] in CLOSE + CLOSE_TUPLE or text.startswith(STARTS_COMMENT, after):
        return True
    if role == "member":
        return QUOTED_KEY.match(text, after) is not None or _bare_key_stands(text, after)
    return text[after : after + 1] in QUOTES or STARTS.match(text, after) is not None


def _behind(text: str, at: int) -> int:
    space = SPACE.match(text, at)
    return space.end() if space else at


# --- what its escapes mean ---


def _unescaped(raw: str) -> str:
    """The text that is meant. Where a letter is escaped that JSON does not know, backslashes are meant as such."""
    names = [found.group(1) for found in ESCAPE.finditer(raw)]
    literal = any(len(name) == 1 and name not in SELVES and name not in ESCAPED for name in names)
    if literal:
        _check_literal(names)
    text = ESCAPE.sub(lambda found: _meant(found.group(1), literal=literal), raw)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _check_literal(names: list[str]) -> None:
    """Raises Doubt where a backslash may mean a sign in one place and itself in another.

    Before a sign that Markdown escapes, as in ``\\_``, it may mean nothing at all; ``\\v`` or ``\\0`` is a sign in
    other languages; and nobody knows whether two backslashes were meant as one.
    """
    if any(name != '"' and (not name.isalnum() or len(name) > 1 or name in "nrtv01234567") for name in names):
        raise Doubt("a backslash has more than one meaning")


def _meant(name: str, *, literal: bool) -> str:
    if name in SELVES:
        return name
    if literal:
        return f"\\{name}"
    if len(name) > 1 and name[0] in "uUx":
        return _character(int(name[1:], 16))
    return ESCAPED[name]


def _character(code: int) -> str:
    if code > 0x10FFFF:
        raise Doubt("no character has this number")
    return chr(code)
