"""Every failure docmill knows, in one tree.

    DocmillError
    ├── Misconfigured            settings, docmill.toml, a missing extra: the operator mends it
    │   └── ServiceAway          a database, broker, cache or provider that does not answer
    │       └── EmbeddingAway    nobody makes a question's vector now: limits, budget, or the provider
    ├── PromptError
    │   ├── PromptUnknown        no such prompt or version
    │   ├── PromptBroken         its files do not load
    │   ├── ContentMissing       the content that a job is pinned to is not at this process
    │   └── VariableMissing      a template variable that the submit did not give
    ├── Unreadable               a document that cannot become text
    ├── SubmitRefused            what was submitted cannot become a job
    │   ├── IdempotencyConflict  its key was used for another submit
    │   └── NotFetched           its address gives no document
    │       └── SourceAway       it may give one later
    ├── CollectionUnknown        no collection of the tenant has that name
    ├── JobUnknown               no job has that id
    ├── RunUnknown               no run has that id
    ├── WebhookUnknown           no webhook, or no delivery of it, has that id
    ├── JobNotFit                the job's state does not allow what was asked of it
    └── ReplyRejected            a model's reply that is not an answer
        ├── ReplyTruncated       it was cut off
        ├── ReplyNotJson         no JSON value can be found in it
        └── ReplyInvalid         JSON, but not what the schema asks
            └── ReplyWrong       fits the schema, but a semantic check says no

A failure of a *call* is no exception but a value, :class:`Failure`: it is classified, decided upon
(:mod:`docmill.remedies`) and recorded. Messages speak to the operator: what, where, what to do. They never
hold a key, a document's text or a reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from docmill.redaction import redacted

__all__ = [
    "CollectionUnknown",
    "ContentMissing",
    "DocmillError",
    "EmbeddingAway",
    "Failure",
    "FailureKind",
    "IdempotencyConflict",
    "JobNotFit",
    "JobUnknown",
    "Misconfigured",
    "NotFetched",
    "PromptBroken",
    "PromptError",
    "PromptUnknown",
    "Repair",
    "ReplyInvalid",
    "ReplyNotJson",
    "ReplyRejected",
    "ReplyTruncated",
    "ReplyWrong",
    "RunUnknown",
    "ServiceAway",
    "SourceAway",
    "SubmitRefused",
    "Unreadable",
    "UnreadableKind",
    "VariableMissing",
    "WebhookUnknown",
]

FailureKind: TypeAlias = Literal[
    # of a call
    "rate_limited",
    "overloaded",
    "server_error",
    "connection",
    "timeout",
    "quota_exhausted",
    "context_overflow",
    "content_filtered",
    "refused",
    "auth",
    "bad_request",
    "not_found",
    "no_rule",  # the simulator's: it invents nothing
    # of a reply
    "truncated",
    "malformed",
    "invalid",
    "wrong",
    # of a job
    "budget",
    "deadline",
    "poison",
    "internal",
    "unreadable",
    "in_doubt",
]

UnreadableKind: TypeAlias = Literal["encrypted", "corrupt", "unsupported", "too_large", "timeout", "empty"]


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How a request that the provider rejected can be made acceptable; remembered for the model.

    ``action`` is ``drop`` (leave ``parameter`` out), ``rename`` (send it as ``value``), ``lower`` (clamp it to
    ``value``), ``schema`` (fall back from native JSON schema to JSON mode, then to the prompt alone),
    ``smaller_schema`` (the same for schemas of ``value`` fields and more, which are too large for it),
    ``this_schema`` (the same for the schema of the digest ``value`` alone, which is too much for it otherwise),
    ``say_json`` (the provider wants the word "json" in the messages), ``resample`` (the same request again) or
    ``no_images`` (the model sees no pictures: another one is asked, or the page's text is sent).
    """

    action: Literal[
        "drop", "rename", "lower", "schema", "smaller_schema", "this_schema", "say_json", "resample", "no_images"
    ]
    parameter: str | None = None
    value: str | int | float | None = None


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What went wrong with a call or its reply, as a value.

    ``message`` is safe to log: the provider's own words about the request, or ours; never document text.
    """

    kind: FailureKind
    message: str = ""
    retry_after_s: float | None = None
    """Seconds to wait, as the provider told."""
    limit_tokens: int | None = None
    """The limit that the message names, in tokens."""
    actual_tokens: int | None = None
    """What the message says the request had, in tokens."""
    status: int | None = None
    """HTTP status; None where no response came."""
    code: str | None = None
    """The provider's own code."""
    repair: Repair | None = None
    """Set where a changed request would be accepted."""
    limit_is_window: bool = True
    """False where ``limit_tokens`` is a per-minute budget and not the model's context window."""


class DocmillError(Exception):
    """The root: whoever catches it catches all that docmill raises on purpose. No message shows a password."""

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


class Misconfigured(DocmillError):
    """Settings that cannot work; the message names the setting and what to put there."""


class ServiceAway(Misconfigured):
    """A service that docmill needs does not answer; the message names the setting that points to it."""


class EmbeddingAway(ServiceAway):
    """A question's vector cannot be had now; ``failure`` says why. Searching by words alone needs none."""

    def __init__(self, model: str, failure: Failure) -> None:
        super().__init__(
            f"the question has no vector of {model}: {failure.kind}: {failure.message}; "
            f"try again later, or search by words alone, as --mode text"
        )
        self.model = model
        self.failure = failure


class PromptError(DocmillError):
    """Something is wrong with a prompt."""


class PromptUnknown(PromptError):
    """No prompt, or no version of it, has that name."""


class PromptBroken(PromptError):
    """A prompt's files do not load, or a released version's files have changed."""


class ContentMissing(PromptError):
    """The content of a prompt that a job is pinned to is not where this process looks."""

    def __init__(self, prompt: str, content_hash: bytes, folders: Sequence[object]) -> None:
        looked = ", ".join(map(str, folders))
        super().__init__(f"the content {content_hash.hex()[:12]} of prompt {prompt} is in none of {looked}")


class VariableMissing(PromptError):
    """A template names a variable that nobody gave."""

    def __init__(self, prompt: str, variable: str) -> None:
        super().__init__(
            f"prompt {prompt} needs the variable {variable!r}: give it under params, as --param {variable}=VALUE"
        )
        self.prompt = prompt
        self.variable = variable


class Unreadable(DocmillError):
    """A document that cannot become text; ``kind`` says why."""

    def __init__(self, kind: UnreadableKind, message: str) -> None:
        super().__init__(message)
        self.kind: UnreadableKind = kind


class SubmitRefused(DocmillError):
    """What was submitted cannot become a job; nothing was stored."""


class IdempotencyConflict(SubmitRefused):
    """The idempotency key was used for another submit."""


class NotFetched(SubmitRefused):
    """An address that may not be called, or gives no document; no message shows its path, which may be secret."""


class SourceAway(NotFetched):
    """An address that gives no document now, and may do so later."""


class CollectionUnknown(DocmillError):
    """The tenant has no collection of that name."""


class JobUnknown(DocmillError):
    """No job has that id."""

    def __init__(self, job_id: int) -> None:
        super().__init__(f"there is no job {job_id}: `docmill jobs` lists them")
        self.job_id = job_id


class RunUnknown(DocmillError):
    """No run has that id."""

    def __init__(self, run_id: int) -> None:
        super().__init__(f"there is no run {run_id}: `docmill runs` lists them")
        self.run_id = run_id


class WebhookUnknown(DocmillError):
    """No webhook has that id, or none of its deliveries."""

    def __init__(self, webhook_id: int, delivery_id: int | None = None) -> None:
        super().__init__(
            f"there is no webhook {webhook_id}: `docmill webhooks` lists them"
            if delivery_id is None
            else f"webhook {webhook_id} has no delivery {delivery_id}: they are kept for 30 days"
        )
        self.webhook_id = webhook_id


class JobNotFit(DocmillError):
    """The job's state does not allow what was asked of it."""


class ReplyRejected(DocmillError):
    """A reply that is not an answer. ``problems`` are (place, rule) pairs for the correction prompt."""

    kind: FailureKind = "malformed"

    def __init__(self, message: str, *, problems: tuple[tuple[str, str], ...] = (), value: Any = None) -> None:
        super().__init__(message)
        self.problems = problems
        self.value = value
        """The value as far as it was understood: what a reviewer is shown. None where there is none."""


class ReplyTruncated(ReplyRejected):
    """The reply was cut off: half an answer is none."""

    kind: FailureKind = "truncated"


class ReplyNotJson(ReplyRejected):
    """No JSON value can be found in the reply without guessing."""

    kind: FailureKind = "malformed"


class ReplyInvalid(ReplyRejected):
    """The reply is JSON but does not fit the schema."""

    kind: FailureKind = "invalid"


class ReplyWrong(ReplyInvalid):
    """The reply fits the schema, but a semantic check of the prompt says no."""

    kind: FailureKind = "wrong"
