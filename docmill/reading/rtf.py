"""Rich text (RTF 1.9.1) to text: what a person sees on paper, notes, headers and footers included."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from docmill.errors import Unreadable
from docmill.reading.cleaning import clean
from docmill.reading.media import RTF
from docmill.reading.values import Limits, Reading, WarningKind, reading_of, require_length, warnings_of

__all__ = ["read_body", "rich_text"]

Place: TypeAlias = Literal["text", "header", "footer", "note", "silent"]

_TOKEN = re.compile(
    rb"\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?[0-9]{1,10})?[ ]?"
    rb"|\\(?P<symbol>[^a-zA-Z])|(?P<brace>[{}])|[\r\n]+|(?P<plain>[^\\{}\r\n]+)|\\"
)
SILENT = frozenset(
    {
        *("fonttbl", "colortbl", "stylesheet", "info", "pict", "objdata", "objclass", "themedata"),
        *("objname", "objtime", "objalias", "objsect", "xe", "rxe", "tc", "tcn", "private", "comment"),
        *("colorschememapping", "datastore", "latentstyles", "listtable", "listoverridetable"),
        *("rsidtbl", "generator", "fldinst", "xmlnstbl", "mmathPr", "filetbl", "revtbl", "pgptbl"),
        *("bkmkstart", "bkmkend", "nonshppict", "wgrffmtfilter", "template", "author", "operator"),
        "company",
        "title",
        "subject",
        "keywords",
        "doccomm",
        "userprops",
        "docvar",
    }
)
"""Groups that hold no text of the document."""
READ_ANYWAY = frozenset(
    {"shptxt", "shpinst", "fldrslt", "footnote", "listtext", "pntext", "shp", "dptxbxtext"}
) | {*("moMath", "moMathPara")}
"""Groups marked as ones that an old reader may leave out, and that a person sees all the same."""
PLACES: dict[str, Place] = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "header"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "footer"),
    **dict.fromkeys(("footnote", "annotation"), "note"),
}
SAID = {
    "par": "\n",
    "line": "\n",
    "sect": "\n",
    "page": "\n",
    "row": "\n",
    "nestrow": "\n",
    "tab": "\t",
    "cell": "\t",
    "nestcell": "\t",
    "emdash": "—",
    "endash": "–",
    "bullet": "•",
    "lquote": "‘",
    "rquote": "’",
    "ldblquote": "“",
    "rdblquote": "”",
    "emspace": " ",
    "enspace": " ",
    "qmspace": " ",
}
SYMBOLS = {b"~": "\xa0", b"_": "-", b"{": "{", b"}": "}", b"\\": "\\", b"\n": "\n", b"\r": "\n", b"\t": "\t"}
CHARSETS = {
    0: "cp1252",
    77: "mac_roman",
    128: "cp932",
    129: "cp949",
    134: "gbk",
    136: "big5",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
}
"""Encodings by the number of a font's character set."""
MOST_DEEP = 1000
SMALLEST = 3
"""Half points: nobody reads what is smaller."""
WHITE = 250
"""Of 255, in each colour."""
MOST_COLOURS = 1000


def read_body(body: bytes, *, charset: str | None, limits: Limits) -> Reading:  # noqa: ARG001 - formats share a shape
    """The document's text; a table has a line a row, its cells parted by tabs. Raises Unreadable (too_large)."""
    document = _Document()
    text = clean(document.read(body))
    require_length(len(text), limits)
    return reading_of(text, RTF, warnings=warnings_of(document.unread))


def rich_text(body: bytes) -> str:
    """Returns the text of rich text that lies in another document. Raises Unreadable (too_large)."""
    return _Document().read(body)


@dataclass(frozen=True, kw_only=True)
class _State:
    """What holds for a group, until its brace closes."""

    place: Place = "text"
    hidden: bool = False
    white: bool = False
    painted: bool = False
    """Whether a ground of another colour lies under it."""
    tiny: bool = False
    encoding: str = "cp1252"
    fallback: int = 1
    """Characters that follow a Unicode one, for readers that do not know it."""
    optional: bool = False
    """Right behind ``\\*``: a group that may be left out, unless it is known."""


@dataclass
class _Document:
    """One document while it is read."""

    unread: Counter[WarningKind] = field(default_factory=Counter)
    _parts: dict[Place, list[str]] = field(default_factory=dict)
    _bytes: bytearray = field(default_factory=bytearray)
    """Of characters of several bytes, until they are whole."""
    _half: int = 0
    """The first half of a character beyond the first plane, until the second one comes."""
    _to_skip: int = 0
    _fonts: dict[int, str] = field(default_factory=dict)
    _font: int = 0
    _in_fonts: bool = False
    _colours: list[bool] = field(default_factory=list)
    """Of each colour whether it is white."""
    _colour: list[int] = field(default_factory=list)
    """What is known of the colour that is being read: its shares of red, green and blue."""
    _in_colours: bool = False
    _painted_cells: bool = False
    """Whether cells of tables have a ground: which of them is told before their text begins anew."""
    _encoding: str = "cp1252"

    def read(self, body: bytes) -> str:
        """Returns the text. Raises Unreadable (too_large) where groups nest too deeply."""
        states = [_State()]
        at = 0
        while at < len(body):
            token = _TOKEN.match(body, at)
            at = at + 1 if token is None else token.end()
            if token is None:
                continue
            if token["brace"]:
                self._brace(token["brace"], states)
            elif token["word"] == b"bin":
                at += max(0, min(int(token["number"] or 0), len(body) - at))
            elif states:
                self._take(token, states)
        self._flush(states[-1] if states else _State())
        return "\n".join(filter(None, ("".join(self._parts.get(place, [])).strip("\n") for place in ORDER)))

    def _brace(self, brace: bytes, states: list[_State]) -> None:
        self._flush(states[-1])
        if brace == b"{":
            if len(states) > MOST_DEEP:
                raise Unreadable("too_large", f"its groups nest deeper than {MOST_DEEP}: save it again")
            states.append(replace(states[-1], optional=False))
            return
        if len(states) > 1:
            states.pop()
        if len(states) == 2:
            self._in_fonts = self._in_colours = False

    def _take(self, token: re.Match[bytes], states: list[_State]) -> None:
        state = states[-1]
        if token["byte"]:
            self._byte(int(token["byte"], 16))
        elif token["word"]:
            self._flush(state)
            states[-1] = self._word(token["word"].decode("ascii"), token["number"], state)
        elif token["symbol"]:
            self._flush(state)
            if token["symbol"] == b"*":
                states[-1] = replace(state, optional=True)
            else:
                self._say(SYMBOLS.get(token["symbol"], ""), state)
        elif token["plain"]:
            self._flush(state)
            self._say(token["plain"].decode("latin-1"), state)

    def _word(self, word: str, number: bytes | None, state: _State) -> _State:
        value = int(number) if number else None
        if word in SAID:
            self._say(SAID[word], state, counts=False)
            return state
        if word == "u" and value is not None:
            self._unicode(value, state)
            return state
        place = self._place(word, state)
        if place != state.place:
            return replace(state, place=place, optional=False)
        return self._property(word, value, state)

    def _place(self, word: str, state: _State) -> Place:
        self._in_fonts = self._in_fonts or word == "fonttbl"
        self._in_colours = self._in_colours or word == "colortbl"
        if state.place == "silent":
            return "silent"
        if word in ("pict", "object"):
            self.unread["picture" if word == "pict" else "embedded"] += 1
        if word in SILENT or (state.optional and word not in READ_ANYWAY and word not in PLACES):
            return "silent"
        return PLACES.get(word, state.place)

    def _ink(self, word: str, value: int | None, state: _State) -> _State:
        """What makes words seen or unseen: their colour, the ground under them, and their size."""
        match word:
            case "red" | "green" | "blue" if self._in_colours:
                self._colour.append(value or 0)
            case "clcbpat":
                self._painted_cells = self._painted_cells or bool(value)
            case "plain":
                return replace(state, hidden=False, white=False, tiny=False, painted=False)
            case "cf":
                return replace(state, white=0 <= (value or 0) < len(self._colours) and self._colours[value or 0])
            case "highlight" | "chcbpat" | "cb" | "cbpat" | "pard":
                return replace(state, painted=word != "pard" and bool(value))
            case "fs":
                return replace(state, tiny=value is not None and value < SMALLEST)
        return state

    def _property(self, word: str, value: int | None, state: _State) -> _State:
        state = self._ink(word, value, state)
        match word:
            case "v" | "deleted" | "htmlrtf":
                return replace(state, hidden=value != 0)
            case "uc":
                return replace(state, fallback=max(0, min(value or 0, 16)))
            case "ansicpg":
                self._encoding = _known(f"cp{value}")
            case "f" if self._in_fonts:
                self._font = value or 0
            case "fcharset" if self._in_fonts:
                self._fonts[self._font] = CHARSETS.get(value or 0, self._encoding)
            case "f":
                return replace(state, encoding=self._fonts.get(value or 0, self._encoding))
            case "mac" | "pc":
                self._encoding = {"mac": "mac_roman", "pc": "cp437"}[word]
        return replace(state, encoding=self._encoding) if word in ("ansicpg", "mac", "pc") else state

    # --- characters ---

    def _byte(self, byte: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._bytes.append(byte)

    def _flush(self, state: _State) -> None:
        if self._bytes:
            self._say(self._bytes.decode(state.encoding, errors="replace"), state)
            self._bytes.clear()

    def _unicode(self, value: int, state: _State) -> None:
        unit = value & 0xFFFF
        if 0xD800 <= unit < 0xDC00:
            self._half = unit
        elif 0xDC00 <= unit < 0xE000 and self._half:
            self._say(chr(0x10000 + ((self._half - 0xD800) << 10) + unit - 0xDC00), state, counts=False)
            self._half = 0
        else:
            self._say(chr(unit), state, counts=False)
        self._to_skip = state.fallback

    def _say(self, words: str, state: _State, *, counts: bool = True) -> None:
        """Adds words where they belong; the first may stand in for a Unicode character that is there already."""
        if counts and self._to_skip:
            skipped = min(self._to_skip, len(words))
            words, self._to_skip = words[skipped:], self._to_skip - skipped
        if self._in_colours:
            for _ in range(words.count(";") if len(self._colours) < MOST_COLOURS else 0):
                self._colours.append(len(self._colour) == 3 and min(self._colour) >= WHITE)
                self._colour.clear()
        if state.place == "silent" or not words:
            return
        if state.hidden or state.tiny or (state.white and not (state.painted or self._painted_cells)):
            self.unread["hidden"] += bool(words.strip())
            return
        self._parts.setdefault(state.place, []).append(words)


ORDER: tuple[Place, ...] = ("header", "text", "note", "footer")
"""In which order the parts are read."""


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return "cp1252"
