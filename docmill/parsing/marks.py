"""The marks by which models set their thoughts apart from their answer, outside of any value.

Each family of models has its own, and each server may strip half of them. So a mark is known by its form (an
element, a special token, a word in capitals within brackets) and by what its name speaks of, and not from a list
of models.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

__all__ = [
    "MARK",
    "Kind",
    "behind_heading",
    "ends_within_one",
    "fenced_parts",
    "is_answer_heading",
    "is_draft_heading",
    "is_quoted",
    "is_set_apart",
    "kind_of",
    "opens_fence",
]

Kind: TypeAlias = Literal[
    "thought", "end of thought", "channel", "final", "answer", "end of answer", "turn", "close", "other"
]
"""A ``channel`` of thoughts ends where the next channel, or the ``final`` one, begins, or with the turn.

``answer`` stands also for the call of a tool: what the tool is given is the answer.
"""

MARK = re.compile(
    # gpt-oss: <|channel|>final <|constrain|>json<|message|>
    r"<\|channel\|>\s*(?P<channel>\w{1,20})(?P<recipient>[^<{\[]{0,200})(?:<\|constrain\|>\s*\w{0,20}\s*)?(?:<\|message\|>)?"
    # The same where the server stripped the marks and left the words.
    r"|(?<![A-Za-z])(?P<stripped>analysis)(?=[A-Z{\[])|assistant(?P<words>final|analysis|commentary)(?:\s{0,2}json|\s{0,2}code)?"
    r"|(?<=\n)assistant\n?(?P<lines>final|analysis)\n"
    # <|START_THINKING|>, <｜tool▁calls▁begin｜>, <|channel>, <channel|>
    r"|<[|｜](?P<token>/?[^<>|｜{}\n]{1,60})(?:[|｜]>|>)|<(?P<tail>[A-Za-z_]{1,40})\|>"
    # <think>, </seed:think>, <function=answer>, <unused94>
    r"|<(?P<element>/?[A-Za-z][\w:.-]{0,40}(?:=[\w.-]{1,60})?)(?:\s[^<>]{0,200})?/?>"
    r"|◁(?P<arrows>/?\w{1,20})▷"
    r"|\[(?P<capitals>/?[A-Z][A-Z_]{2,30}|unused\d{1,3})\]"
    r"|(?P<phrase>Here(?:'s| is) my (?:thought process|response)):"
)

THOUGHTS = re.compile(
    r"(?:^|[^a-z]|of)(?:think|thought|reason|reflect|analy[sz]|scratch|plan(?:ning|s)?(?![a-z])|cot(?![a-z])|chain_?of|monolog"
    r"|deliberat|rationale|ponder|brainstorm|draft|consider|contemplat|explanation|working|inner|internal|critique|verif"
    r"|self_?(?:check|critique)|notes?$|channel$|unused(?:16|17|94|95)$"
    # What a tool said, or is made to have said, is not what the model answers.
    r"|tool_?(?:output|response|result)|function_?result|observation)",
    re.IGNORECASE,
)
ANSWERS = re.compile(
    r"(?:^|[^a-z])(?:answer|final|output|result|response|solution|reply|conclusion|(?:of_)?box(?![a-z])|json|tool_?call|function"
    r"|invoke|python_tag|action|args)",
    re.IGNORECASE,
)
ENDS = re.compile(r"^/|^end|_end$|suffix$|unused(?:17|95)$", re.IGNORECASE)
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
CHANNELS = ("channel", "stripped", "words", "lines", "phrase")
GROUPS = (*CHANNELS, "token", "tail", "element", "arrows", "capitals")


def is_quoted(mark: re.Match[str]) -> bool:
    """Returns whether a mark is all of a text, and so none."""
    before, behind = mark.string[mark.start() - 1 : mark.start()], mark.string[mark.end() : mark.end() + 1]
    return before != "" and before in "\"'“‘«「`" and behind != "" and behind in "\"'”“’»」`"


def kind_of(mark: re.Match[str]) -> Kind:
    """Returns what a mark says about what stands behind it."""
    name = _name_of(mark)
    if any(mark[group] for group in CHANNELS):
        return "final" if re.match("final|.*response", name) or "to=" in (mark["recipient"] or "") else "channel"
    ends = ENDS.search(name) is not None or mark["tail"] is not None
    if THOUGHTS.search(name):
        return "end of thought" if ends else "thought"
    if ANSWERS.search(name):
        return "end of answer" if ends else "answer"
    if mark["element"]:
        return "close" if ends else "other"
    return "turn"


def _name_of(mark: re.Match[str]) -> str:
    name = next(mark[group] for group in GROUPS if mark[group])
    return CAMEL.sub("_", re.sub(r"[▁\s]", "_", name))


# --- words that say what follows ---

ANSWER = (
    r"(?:answer|output|result|response|reply|json|solution|correction|corrected|final|action[ _]input|arguments"
    r"|antwort|ergebnis|réponse|résultat|respuesta|resultado|resposta|risposta|risultato"
    r"|回答|答案|最终答案|答え|結果|结果)"
)
BEFORE = (
    r"(?:here(?:'s|’s| is| are)|this is|my|the|our|your|final|corrected|revised|updated|correct|complete|extracted"
    r"|resulting|structured|requested|formatted|valid|json|so|thus|therefore"
    r"|endgültige|die|das|la|le|el|il|finale?|final[ae]?)"
)
BEHIND = r"(?:is|as|in|json|object|format|follows|data|below)"
ANSWER_HEADING = re.compile(
    rf"[#>*_\-\d.)\[ \t]{{0,12}}(?:{BEFORE}[ \t,]++){{0,5}}{ANSWER}s?(?:[ \t]++{BEHIND}){{0,4}}[ \t\]]*+"
    r"(?P<announces>[*_]{1,3}[ \t]*+[:：]|[:：][ \t]*+[*_]{0,3}|[*_]{1,3})?",
    re.IGNORECASE,
)
DRAFT_HEADING = re.compile(
    r"(?:\A|(?<=[:.!?] ))[#>*_`\-\d.) \t]{0,12}(?:my |the |initial |first |rough )?"
    r"(?:reasoning|thoughts?|thinking|thought process|analysis|draft|scratch ?pad|workings?|explanation"
    r"|deliberation)[ \t]*+(?:[*_]{1,3}|[:：]|\Z)",
    re.IGNORECASE,
)
OPENING_FENCE = re.compile(r"(?:```|~~~)[ \t]*+(?P<language>[\w+-]{0,15})")
ENDS_WITHIN = re.compile(r"(?:</?[A-Za-z][\w:.-]{0,40}|<[|｜][^<>|｜\n]{0,60}[|｜]?|◁/?\w{0,20})\Z")
WORDS_FOR_JSON = frozenset({"", "json", "json5", "jsonc", "javascript", "python", "assistant", "model"})
LANGUAGES = WORDS_FOR_JSON | {"text", "plaintext", "txt", "js", "py", "typescript", "ts", "yaml", "toml", "xml"}
"""Of fences whose content begins on their own line: any other word there is the first one of prose."""


def is_answer_heading(before: str) -> bool:
    """Returns whether the words right before a value announce the answer, alone on a line of their own."""
    words, _ = _without_fence(before)
    stripped = words.rstrip()
    heading = ANSWER_HEADING.fullmatch(stripped.rpartition("\n")[2].strip())
    return heading is not None and (heading["announces"] is not None or "\n" in words[len(stripped) :])


def behind_heading(text: str) -> str:
    """Returns what stands behind the last heading that announces the answer; all where there is none."""
    lines = text.splitlines(keepends=True)
    for at in reversed(range(len(lines))):
        heading = ANSWER_HEADING.match(lines[at])
        if heading and (heading["announces"] or "").strip("*_ \t"):
            return "".join([lines[at][heading.end() :], *lines[at + 1 :]]).strip()
    return text


def is_draft_heading(paragraph: str) -> bool:
    """Returns whether the paragraph that a value stands in begins as reasoning."""
    return any(DRAFT_HEADING.search(line) for line in paragraph.splitlines())


def is_set_apart(between: str) -> bool:
    """Returns whether nothing but a fence, or a word for JSON, stands between a mark and a value."""
    return _without_fence(between)[0].strip().removesuffix(":").lower() in WORDS_FOR_JSON


def opens_fence(before: str) -> bool:
    """Returns whether a fence opens right before a value."""
    return _without_fence(before)[1]


def _without_fence(before: str) -> tuple[str, bool]:
    """The words before a fence that opens at their end, and whether one does."""
    stripped = before.rstrip()
    at = max(stripped.rfind("```"), stripped.rfind("~~~"))
    opening = OPENING_FENCE.fullmatch(stripped, at) if at >= 0 else None
    if opening is None or not ("\n" in before[len(stripped) :] or opening["language"].lower() in LANGUAGES):
        return before, False
    return stripped[:at].rstrip("`~"), True


def fenced_parts(text: str) -> list[str]:
    """Returns what stands in each of the fences of a text, without their language."""
    parts = [part.lstrip("`") for part in text.split("```")[1:-1:2]]
    return [body if is_set_apart(line) else part for part in parts for line, _, body in [part.partition("\n")]]


def ends_within_one(text: str) -> bool:
    """Returns whether a text ends in the middle of a mark."""
    return ENDS_WITHIN.search(text) is not None
