"""Which of the things that a model said is its answer, and how it ended: one rule for all providers.

A text is the answer; the arguments of a tool are, where the model ended by calling one, or said no JSON besides
(docmill offers no tools, but a gateway that does schemas by a tool does); JSON in the place of thoughts is, where
there is nothing else. Thoughts without an answer are none, and so is a draft among them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from docmill.llm.types import FinishReason, Reply
from docmill.llm.wire.bodies import decoded, unquoted
from docmill.llm.wire.charges import charge_in
from docmill.llm.wire.finish import finish_of, told_word, word_of
from docmill.llm.wire.messages import Said
from docmill.llm.wire.shapes import label
from docmill.llm.wire.streams import UNFINISHED
from docmill.llm.wire.usage import usage_in
from docmill.storable import storable_text

__all__ = ["Draft", "reply_of"]

MOST_CHARACTERS = 2_000_000
"""Of an answer; parsing reads no longer one."""
MOST_REFUSAL = 4000

CALLS_TOOL = frozenset({"tool_calls", "tool_call", "tool_use", "function_call", "function_calls"})

_END_OF_THOUGHTS = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|<\|channel\|>final<\|message\|>|\[/THINK\]"
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A reply as its shape has it, before anything about it is decided."""

    said: Said = field(default_factory=Said)
    words: tuple[object, ...] = ()
    """The provider's words for how it ended; several where a gateway passes on what stands behind it."""
    finish: FinishReason | None = None
    """How it ended, where the shape says so without a word."""
    model: object = None
    id: object = None
    may_overflow: bool = False
    """Whether servers of this shape say nothing at all where the prompt does not fit (LM Studio, Ollama)."""

    @property
    def word(self) -> str:
        """The provider's own word for how the reply ended; empty where it has none."""
        return label(told_word(self.words))


def reply_of(draft: Draft, body: Mapping[str, Any], provider: str) -> Reply:
    """Decides what a draft comes to: a reply whose texts can be stored and whose figures can be believed."""
    text = unquoted(_answer(draft.said, word_of(told_word(draft.words))))
    finish, doubts = _finish(draft, text)
    counted = usage_in(body, provider)
    charge, charge_doubts = charge_in(body)
    if len(text) > MOST_CHARACTERS:
        doubts = (*doubts, f"the answer has {len(text)} characters: only the first {MOST_CHARACTERS} are kept")
        finish = "error"
    return Reply(
        text=_storable(text),
        finish_reason=finish,
        usage=counted.usage,
        model_echoed=label(draft.model) or None,
        request_id=label(draft.id) or None,
        refusal=storable_text(draft.said.refusal, MOST_REFUSAL) or None,
        cost_usd=charge,
        warnings=(*doubts, *counted.warnings, *charge_doubts),
    )


def _answer(said: Said, word: str) -> str:
    called = "\n".join(map(unquoted, said.calls))
    if not called:
        return said.content if said.content.strip() else _json_alone(said.thoughts)
    # Some end with "stop" though they call a tool, and say a word before it.
    return said.content if word not in CALLS_TOOL and _json_alone(said.content) else called


def _json_alone(text: str) -> str:
    """The JSON that a text consists of, a fence and thoughts before it apart; empty where there is more to it."""
    rest = _END_OF_THOUGHTS.split(text)[-1].strip()
    if rest.startswith("```") and rest.endswith("```"):
        rest = rest.strip("`").partition("\n")[2].strip()
    return rest if isinstance(decoded(rest), dict | list) else ""


def _finish(draft: Draft, text: str) -> tuple[FinishReason, tuple[str, ...]]:
    if draft.finish is not None:
        return draft.finish, ()
    word = told_word(draft.words)
    if word_of(word) == UNFINISHED:
        # Whoever closed all that it opened had no more to say.
        return ("stop" if isinstance(decoded(text), dict | list) else "error"), ("the stream has no end",)
    finish = finish_of(word)
    if finish is None:
        doubt = f"the answer ended for a reason that nobody knows: {label(word)[:40]}"
        return ("stop" if text.strip() else "error"), (doubt,)
    if draft.said.refusal and finish != "content_filter":
        return "refusal", ()
    return finish, ()


def _storable(text: str) -> str:
    """The text with its surrogate pairs whole, which a stream may have torn apart, and no NUL around it."""
    text = text[:MOST_CHARACTERS].strip("\0")
    if any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return storable_text(text, MOST_CHARACTERS)
