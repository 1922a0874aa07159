"""The kinds of slips: in how a value is written, in its signs, and in what stands around it."""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.fuzz.originals import Original
from tests.fuzz.writing import Style, Tokens, as_yaml

__all__ = ["LEFT_OUT", "NEXT_TO_IT", "SIGNS", "STYLES", "WRAPS", "Change", "Kinds", "Making"]


@dataclass(kw_only=True)
class Making:
    """A reply while it is made."""

    rng: random.Random
    original: Original
    style: Style = field(default_factory=Style)
    tokens: Tokens = field(default_factory=list)
    text: str = ""
    kinds: list[str] = field(default_factory=list)


Change: TypeAlias = Callable[[Making], bool]
"""Changes what it is given; False where it found nothing to change."""
Kinds: TypeAlias = Mapping[str, Change]


# --- how it is written ---


def _style(**fields: Any) -> Change:
    def change(making: Making) -> bool:
        for name, value in fields.items():
            setattr(making.style, name, making.rng.choice(value) if isinstance(value, tuple) else value)
        return True

    return change


STYLES: Kinds = {
    "quotes single": _style(quotes="''"),
    "quotes typographic": _style(quotes=("“”", "‘’", "„“", "«»", "「」")),
    "quotes alike": _style(quotes=("``", "´´", "＂＂", "””")),
    "quotes mixed": _style(quotes=("\"\"|''", '""|“”', "''|““")),
    "quotes triple": _style(triple=True),
    "quotes inner": _style(inner_quotes="in pairs"),
    "quotes inner, any": _style(inner_quotes="any"),
    "keys bare": _style(bare_keys=True),
    "texts bare": _style(bare_texts=True),
    "literals python": _style(literals="python"),
    "literals upper": _style(literals="upper"),
    "literals undefined": _style(literals="undefined"),
    "commas missing": _style(comma=" ", layout=("lines", "spaced")),
    "commas trailing": _style(trailing=True),
    "commas others": _style(comma=(";", "，", "；", "、")),
    "colons others": _style(colon=("=", "=>", "：", " = ", " => ")),
    "colons missing": _style(colon=" "),
    "comments line": _style(comments=("//", "#"), layout="lines"),
    "comments block": _style(comments=("/*", "<!--")),
    "comments glued": _style(comments="//glued", layout="lines"),
    "spaces odd": _style(layout="odd"),
    "layout lines": _style(layout="lines"),
    "layout compact": _style(layout="compact"),
    "escapes raw breaks": _style(raw_breaks=True),
    "escapes raw backslashes": _style(raw_backslashes=True),
    "escapes needless": _style(needless=("/", "'", "u")),
    "escapes hexadecimal": _style(hexadecimal=True),
    "escapes ascii": _style(ascii=True),
    "texts joined": _style(joined_texts=True),
    "numbers": _style(numbers=("plus", "underscores", "point", "grouped", "minus")),
    "tuples": _style(tuples=True),
    "brackets wide": _style(wide=True),
}


# --- its signs ---

STRAY_WORDS = (" COMMENT ", " see above ", " note: ", " - ")
ELLIPSES = ("...", "…", "// ...", "/* rest */", "# and so on", "...and 3 more", "(12 more items)", '"..."', '"…"')
NOT_SPACES = frozenset({"opening quote", "closing quote", "comma", "colon", "literal", "number"}) | {
    *("open", "close", "bare", "key")
}


def _places(making: Making, kind: str) -> list[int]:
    return [at for at, (of, _) in enumerate(making.tokens) if of == kind]


def _is_apart(making: Making, at: int) -> bool:
    """Whether a space parts what stands around a comma: else two numbers would become one."""
    return making.tokens[at + 1][1].isspace()


def _lose(*kinds: str) -> Change:
    """Loses one sign of each kind."""

    def change(making: Making) -> bool:
        for kind in kinds:
            places = [at for at in _places(making, kind) if kind != "comma" or _is_apart(making, at)]
            if not places:
                return False
            del making.tokens[making.rng.choice(places)]
        return True

    return change


def _double(kind: str) -> Change:
    def change(making: Making) -> bool:
        places = _places(making, kind)
        if places:
            at = making.rng.choice(places)
            making.tokens.insert(at, making.tokens[at])
        return bool(places)

    return change


def _lose_quotes_between_members(making: Making) -> bool:
    """The one that ends a member's text and the one that begins the next name.

    Between two items of a list they would leave one good text.
    """
    if making.style.bare_keys:
        return False  # so they would here
    kinds = [kind for kind, _ in making.tokens]
    signs = [at for at, kind in enumerate(kinds) if kind in NOT_SPACES]
    for places in zip(*(signs[at:] for at in range(5)), strict=False):
        if [kinds[at] for at in places] == ["closing quote", "comma", "opening quote", "closing quote", "colon"]:
            del making.tokens[places[2]], making.tokens[places[0]]
            return True
    return False


def _close_wrongly(making: Making) -> bool:
    places = _places(making, "close")
    if places:
        at = making.rng.choice(places)
        making.tokens[at] = ("close", {"}": "]"}.get(making.tokens[at][1], "}"))
    return bool(places)


def _lose_last_brackets(making: Making) -> bool:
    places = _places(making, "close")
    count = making.rng.randint(1, len(places)) if places else 0
    for at in reversed(places[len(places) - count :]):
        del making.tokens[at]
    return count > 0


def _put_in_a_word(making: Making) -> bool:
    if making.style.bare_texts:
        return False  # it would be a part of one
    at = making.rng.choice([at for kind in ("comma", "open", "close") for at in _places(making, kind)])
    making.tokens.insert(at + making.rng.randint(0, 1), ("stray", making.rng.choice(STRAY_WORDS)))
    return True


def _leave_out(making: Making) -> bool:
    """An ellipsis in place of the last items: half a list."""
    places = [at for at in _places(making, "close") if making.tokens[at][1] in "])］"]
    if places:
        sign = making.rng.choice(ELLIPSES)
        ended = f"{sign}\n" if sign.startswith(("//", "#")) else sign
        making.tokens.insert(places[-1], ("stray", making.rng.choice((", ", " ", ",\n  ")) + ended))
    return bool(places)


SIGNS: Kinds = {
    "lost: opening quote": _lose("opening quote"),
    "lost: closing quote": _lose("closing quote"),
    "lost: quotes between members": _lose_quotes_between_members,
    "lost: quote and comma": _lose("closing quote", "comma"),
    "lost: quote and bracket": _lose("closing quote", "close"),
    "lost: comma": _lose("comma"),
    "lost: colon": _lose("colon"),
    "lost: comma and colon": _lose("comma", "colon"),
    "lost: opening bracket": _lose("open"),
    "lost: closing bracket": _lose("close"),
    "lost: last brackets": _lose_last_brackets,
    "wrong: closing bracket": _close_wrongly,
    "twice: closing bracket": _double("close"),
    "twice: opening bracket": _double("open"),
    "twice: comma": _double("comma"),
    "twice: closing quote": _double("closing quote"),
    "twice: opening quote": _double("opening quote"),
    "twice: colon": _double("colon"),
    "stray word": _put_in_a_word,
}
LEFT_OUT: Kinds = {"left out": _leave_out}


# --- what stands around it ---

PROSE_BEFORE = (
    *("Sure! Here is the JSON:\n", "Here you are: ", "I found this in the document.\n\n", "**Result**\n\n"),
    *("See [1] and {name}.\n", "It's done:\n", "(1) I read it. (2) I wrote:\n\n", "- ", "Note: as asked.\n"),
)
PROSE_BEHIND = (
    *("\n\nLet me know if you need anything else!", " Done.", "\n\n*Note*: the date is that of the [invoice]."),
    *("\nIt's all there (see {page}).", "\n\n---", " :)", ";", ",", "."),
)
LANGUAGES = ("json", "JSON", "", "json5", "javascript", "python", "text", " json", "jsonc")
ELEMENTS = ("json", "answer", "output", "result", "invoice", "response", "data")
UNSEEN_BEFORE = ("\ufeff", "\u200b", "\u2060", "\0", "\n\n")
UNSEEN_BEHIND = ("\ufeff", "\0\0", "\u200b", " \n")
QUOTED_FIRST = re.compile(r'[\[{(\s]*"')
DRAFT_BEFORE = ("maybe ", "The net is ", "First try: ", "Hmm. ", "{ or [ or ", 'It\'s like "this": ', "")
DRAFT_BEHIND = (" without tax", ", but no.", "", " }", "\n")
TAGS = tuple(
    (f"<{name}>", f"</{name}>")
    for name in (
        *(
            "think",
            "thinking",
            "thought",
            "reasoning",
            "reflection",
            "analysis",
            "scratchpad",
            "THINK",
            "seed:think",
        ),
        *("scratch_pad", "cot", "inner_monologue", "chainOfThought"),
    )
)
TOKENS_OF_THOUGHTS = (
    *(("◁think▷", "◁/think▷"), ("[THINK]", "[/THINK]"), ("<|think|>", "<|/think|>"), ("[unused16]", "[unused17]")),
    *(("<|channel>thought\n", "<channel|>"), ("<unused94>thought\n", "<unused95>")),
    *(("<|inner_prefix|>", "<|inner_suffix|>"), ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>")),
    ("<|begin_of_thought|>", "<|end_of_thought|><|begin_of_solution|>"),
)
ASSISTANT = "<|end|><|start|>assistant<|channel|>"
CHANNELS = (
    ("<|channel|>analysis<|message|>", f"{ASSISTANT}final<|message|>"),
    ("<|channel|>analysis<|message|>", f"{ASSISTANT}final <|constrain|>json<|message|>"),
    ("<|channel|>analysis<|message|>", f"{ASSISTANT}commentary to=functions.a <|constrain|>json<|message|>"),
    *(("analysisWe need ", "assistantfinal"), ("analysisWe need ", "assistantfinaljson")),
    ("Here is my thought process: ", " Here is my response: "),
)
HEADINGS = ("**Answer:** ", "## Final answer\n\n", "Answer: ", "### Output\n```json\n", "Corrected answer:\n")
HEADINGS_OF_DRAFTS = ("**Reasoning:** ", "## Analysis\n", "Thought: ", "Draft: ")


def _text(write: Callable[[Making], str | None]) -> Change:
    def change(making: Making) -> bool:
        text = write(making)
        making.text = making.text if text is None else text
        return text is not None

    return change


def _draft(making: Making) -> str:
    """An answer of the same shape with other figures, as stands in a model's thoughts."""
    rng = making.rng
    return f"{rng.choice(DRAFT_BEFORE)}{json.dumps(making.original.draft(rng))}{rng.choice(DRAFT_BEHIND)}"


def _assigned(making: Making) -> str:
    text = making.text
    return making.rng.choice((f"const answer = {text};", f"result = {text}", f"return {text};"))


def _encoded(making: Making) -> str | None:
    return None if making.style.wide else json.dumps(making.text)


def _escaped(making: Making) -> str | None:
    return json.dumps(making.text)[1:-1] if QUOTED_FIRST.match(making.text) else None


def _with_entities(making: Making) -> str | None:
    return html.escape(making.text) if QUOTED_FIRST.match(making.text) else None


def _of_another_format(making: Making) -> str | None:
    """What is no JSON at all, but may hold some."""
    value = making.original.value
    if not isinstance(value, dict) or len(value) < 2:
        return None  # a lone member may be a heading and what it announces
    making.kinds.clear()
    toml = "\n".join(f"{name} = {json.dumps(member)}" for name, member in value.items())
    called = ", ".join(f"{name}={member!r}" for name, member in value.items())
    return making.rng.choice((as_yaml(value), toml, f"dict({called})", f"Answer({called})"))


def _fenced(making: Making) -> str:
    ticks = making.rng.choice(("```", "```", "````", "~~~"))
    return f"{ticks}{making.rng.choice(LANGUAGES)}\n{making.text}\n{ticks}"


def _half_fenced(making: Making) -> str:
    text = making.text
    return making.rng.choice((f"```json\n{text}", f"{text}\n```", f"json\n{text}", f"`{text}`", f"```{text}```"))


def _in_element(making: Making) -> str:
    name = making.rng.choice(ELEMENTS)
    return f"<{name}>\n{making.text}\n</{name}>"


def _said_twice(making: Making) -> str:
    return f"{making.text}\n\nThat is:\n\n```json\n{json.dumps(making.original.value)}\n```"


def _among_unseen_signs(making: Making) -> str:
    return f"{making.rng.choice(UNSEEN_BEFORE)}{making.text}{making.rng.choice(UNSEEN_BEHIND)}"


def _thought(making: Making) -> str:
    opening, closing = making.rng.choice((*TAGS, *TOKENS_OF_THOUGHTS, *CHANNELS))
    return f"{opening}{_draft(making)}{closing}{making.text}"


def _thought_late(making: Making) -> str:
    opening, closing = making.rng.choice((*TAGS, *TOKENS_OF_THOUGHTS))
    word = making.rng.choice(("Okay.", "Let me see:", "Sure"))
    return f"{word}\n{opening}{_draft(making)}{closing}\n{making.text}"


def _thought_within_another(making: Making) -> str:
    opening, closing = making.rng.choice(TAGS)
    return f"{opening}a{opening}b{closing}{_draft(making)}{closing}{making.text}"


def _thought_without_opening(making: Making) -> str:
    _, closing = making.rng.choice(TAGS)
    return f"{_draft(making)}{closing}{making.text}"


def _thought_behind(making: Making) -> str:
    opening, closing = making.rng.choice(TAGS)
    return f"{making.text}\n{opening}{_draft(making)}{closing}"


def _headed(making: Making) -> str:
    heading = making.rng.choice(HEADINGS)
    return f"{making.rng.choice(HEADINGS_OF_DRAFTS)}{_draft(making)}\n\n{heading}{making.text}"


def _unmarked(making: Making) -> str:
    draft = _draft(making)
    before, behind = f"{draft}\n\nNo, wait.\n\n{making.text}", f"{making.text}\n\nWithout tax it would be {draft}"
    return making.rng.choice((before, behind))


def _react(making: Making) -> str:
    return f"Thought: I know it, {_draft(making)}\nAction: answer\nAction Input: {making.text}"


def _given_to_a_tool(making: Making) -> str | None:
    value = making.original.value
    named = making.original.model or {"properties", "$ref"} & (making.original.schema or {}).keys()
    if not named or not isinstance(value, dict):
        return None  # the call of a tool would fit as well
    making.kinds.clear()
    written = json.dumps(making.rng.choice(_calls(value)))
    return making.rng.choice(
        (written, f"<tool_call>\n{written}\n</tool_call>", f"```json\n{written}\n```", f"[TOOL_CALLS]{written}")
    )


def _calls(value: Any) -> tuple[Any, ...]:
    encoded = json.dumps(value)
    return (
        {"tool_calls": [{"function": {"name": "answer", "arguments": value}}]},
        {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "answer", "arguments": encoded}}]},
        {"name": "answer", "arguments": value},
        {"name": "answer", "parameters": encoded},
        {"action": "answer", "action_input": value},
        {"type": "tool_use", "id": "t1", "name": "answer", "input": value},
        {"function_call": {"name": "answer", "arguments": encoded}},
        {"answer": value},
        {"result": {"invoice": value}},
        {"thought": "easy", "answer": value},
    )


NEXT_TO_IT: Kinds = {
    "assigned": _text(_assigned),
    "encoded twice": _text(_encoded),
    "escaped": _text(_escaped),
    "entities": _text(_with_entities),
    "another format": _text(_of_another_format),
}
WRAPS: Kinds = {
    "prose before": _text(lambda making: making.rng.choice(PROSE_BEFORE) + making.text),
    "prose behind": _text(lambda making: making.text + making.rng.choice(PROSE_BEHIND)),
    "fence": _text(_fenced),
    "fence half": _text(_half_fenced),
    "element": _text(_in_element),
    "said twice": _text(_said_twice),
    "signs unseen": _text(_among_unseen_signs),
    "draft in thoughts": _text(_thought),
    "draft in thoughts after a word": _text(_thought_late),
    "draft in nested thoughts": _text(_thought_within_another),
    "draft in thoughts without opening": _text(_thought_without_opening),
    "draft in thoughts behind": _text(_thought_behind),
    "draft under a heading": _text(_headed),
    "draft unmarked": _text(_unmarked),
    "tool": _text(_given_to_a_tool),
    "react": _text(_react),
}
