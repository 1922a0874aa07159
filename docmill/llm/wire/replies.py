"""Replies of all providers: what they say, and whether they are good (docs/providers.md, section 4).

A reply is good when it has what an answer has: a text, and an end that is a full one. Nothing else makes it so,
the status least of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from docmill.errors import Failure, FailureKind
from docmill.llm.types import FinishReason, Reply
from docmill.llm.wire.answers import Draft, reply_of
from docmill.llm.wire.anthropic import read_anthropic
from docmill.llm.wire.bodies import opened
from docmill.llm.wire.chat import read_chat
from docmill.llm.wire.envelopes import Complaint, complaint_in
from docmill.llm.wire.gateways import inner_body, read_message, read_output, read_single
from docmill.llm.wire.gemini import read_gemini
from docmill.llm.wire.ollama import read_ollama
from docmill.llm.wire.request_ids import request_id
from docmill.llm.wire.responses import read_responses
from docmill.llm.wire.rows import answer_in_row
from docmill.llm.wire.shapes import mapping, mappings, sequence, text
from docmill.llm.wire.usage import usage_in

__all__ = ["Found", "OpenedResponse", "failure_in", "found_in", "is_no_reply", "read_opened", "read_reply"]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A draft, and the body that it was read from."""

    draft: Draft
    body: Mapping[str, Any]


Reader = Callable[[Mapping[str, Any]], Draft | None]

READERS: tuple[Reader, ...] = (
    read_chat,
    read_responses,
    read_anthropic,
    read_gemini,
    read_ollama,
    read_output,
    read_message,
)
DEEPEST_WRAPPING = 3
GUARDRAIL = "amazon-bedrock-guardrailAction"

KINDS: Mapping[FinishReason, tuple[FailureKind, str]] = {
    "length": ("truncated", "the answer reached the output limit and was cut off"),
    "content_filter": ("content_filtered", "the provider's filter withheld the answer"),
    "refusal": ("refused", "the model refused to answer"),
    "error": ("server_error", "the model ended its answer with an error"),
}
BUSY = ("resource", "overload", "busy", "capacity")
"""Stems of words for an end that more of the provider's machines would have prevented."""
SMALLEST_WINDOW = 1000
"""Tokens; a prompt that has fewer fits any model."""

OTHER_OBJECTS = frozenset({"list", "model", "batch", "file", "embedding", "embeddings"})
OTHER_KEYS = frozenset(
    {"embedding", "embeddings", "models", "vector", "totalTokens", "input_tokens", "processing_status"}
)
"""Of good bodies that are no model's reply: vectors, lists of models, counts, batches."""


def read_reply(*, provider: str, status: int, headers: Mapping[str, str], body: object) -> Reply:
    """Reads what a response says, in whatever shape and place it says it.

    ``body`` is decoded JSON, or the text where it is not JSON; of a row of a batch, the reply in it is read. What
    is no reply, or came with an error, ends with ``error``. All that is given can be stored; figures that make no
    sense are None, and ``warnings`` names them. Never raises.
    """
    return read_opened(OpenedResponse.of(provider=provider, status=status, body=body), headers)


@dataclass(frozen=True, kw_only=True)
class OpenedResponse:
    """A response, of which each part is read once, when it is first asked for: what is wrong with it, and what it
    says, are asked of the same parts.
    """

    provider: str
    """In lower case."""
    status: int
    body: object
    """Opened; of a row of a batch, that of the response in it."""

    @classmethod
    def of(cls, *, provider: str, status: int, body: object) -> OpenedResponse:
        """Opens a response whose ``body`` is decoded JSON, or the text where it is none."""
        status, body = answer_in_row(status, opened(body))
        return cls(provider=provider.lower(), status=status, body=body)

    @cached_property
    def complaint(self) -> Complaint | None:
        """What the body says to be wrong, whatever the status."""
        return complaint_in(self.body)

    @cached_property
    def found(self) -> Found | None:
        """The model's reply as its shape has it, where there is one."""
        return found_in(self.body)

    @cached_property
    def reply(self) -> Reply | None:
        """What that reply comes to."""
        return None if self.found is None else reply_of(self.found.draft, self.found.body, self.provider)


def read_opened(response: OpenedResponse, headers: Mapping[str, str]) -> Reply:
    """Reads what an opened response says, as :func:`read_reply` does."""
    reply = response.reply
    if reply is None:
        usage = usage_in(mapping(response.body), response.provider).usage
        reply = Reply(text="", finish_reason="error", usage=usage)
    if response.status >= 400 or response.complaint is not None:
        reply = replace(reply, finish_reason="error")
    named = request_id(headers, response.body)
    return reply if named is None else replace(reply, request_id=named)


def found_in(body: object) -> Found | None:
    """Finds the reply in an opened body, or in what the body wraps; None where it is no model's reply."""
    levels = list(_levels(body))
    for told in levels:
        draft = next((draft for read in READERS if (draft := read(told)) is not None), None)
        if draft is not None:
            return Found(draft=_guarded(draft, told), body=told)
    # A text of which nothing but its neighbours says that a model wrote it: the innermost has the nearest ones.
    singles = ((told, read_single(told)) for told in reversed(levels))
    return next(
        (Found(draft=_guarded(draft, told), body=told) for told, draft in singles if draft is not None), None
    )


def _levels(body: object) -> Iterator[Mapping[str, Any]]:
    """The body, and what it wraps."""
    told: Mapping[str, Any] | None = mapping(body)
    for _ in range(DEEPEST_WRAPPING):
        if told:
            yield told
            told = inner_body(told)


def _guarded(draft: Draft, body: Mapping[str, Any]) -> Draft:
    """The draft, withheld where Bedrock says beside it that a guardrail put its own words there."""
    return replace(draft, finish="content_filter") if body.get(GUARDRAIL) == "INTERVENED" else draft


def failure_in(draft: Draft, reply: Reply, *, status: int) -> Failure | None:
    """Says what is wrong with a reply that came without an error, as its draft has it; None for a good one."""
    if reply.finish_reason in KINDS:
        word = draft.word
        kind, message = KINDS[reply.finish_reason]
        if kind == "server_error" and any(stem in word.lower() for stem in BUSY):
            kind = "overloaded"
        return Failure(kind=kind, message=message, status=status, code=word[:100] or None)
    return None if reply.text.strip() else _silent(draft, reply, status)


def is_no_reply(body: object) -> bool:
    """Tells good bodies that no model wrote: vectors, lists of models, counts of tokens, batches."""
    if not isinstance(body, dict):
        return any(isinstance(item, list) or "id" in mapping(item) for item in sequence(body))
    rows = mappings(body.get("data"))
    listed_rows = any(row.keys() & {"embedding", "id", "index"} for row in rows)
    return listed_rows or text(body.get("object")) in OTHER_OBJECTS or bool(body.keys() & OTHER_KEYS)


def _silent(draft: Draft, reply: Reply, status: int) -> Failure:
    """No text: local servers answer so, and count no tokens, where the prompt does not fit (LM Studio, trap 2)."""
    asked = reply.usage.input_tokens
    told_nothing = reply.usage.output_tokens == 0 and not draft.said.thoughts
    if draft.may_overflow and told_nothing and (asked is None or asked >= SMALLEST_WINDOW):
        return Failure(
            kind="context_overflow",
            message="the answer is empty and has no tokens: the prompt probably does not fit the window",
            actual_tokens=asked,
            status=status,
        )
    message = "the model thought, and gave no answer" if draft.said.thoughts else "the answer is empty"
    return Failure(kind="server_error", message=message, status=status)
