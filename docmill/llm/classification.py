"""What is wrong with a provider's response: one kind, by rules in the order of docs/providers.md, section 5.1.

The status alone decides nothing: 429 is five different things, and 200 is no success yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from docmill.errors import Failure, FailureKind
from docmill.llm.overflow import Overflow, overflow_in
from docmill.llm.waits import wait_in_words_s, wait_s
from docmill.llm.wire.envelopes import Complaint, complaint_in, unwrap
from docmill.llm.wire.repairs import repair_for
from docmill.llm.wire.replies import failure_in_reply
from docmill.llm.wire.rows import answer_in_row
from docmill.llm.wire.shapes import mappings, whole

__all__ = ["classify"]

IN_STREAM = 0
"""Stands for the status of an error that came inside a good response and names none."""

WAITING: frozenset[FailureKind] = frozenset({"rate_limited", "overloaded", "server_error", "timeout"})
"""Kinds after which waiting helps, so that a wait is read out of the response."""


def classify(
    *,
    provider: str,
    status: int,
    headers: Mapping[str, str],
    body: object,
    now: datetime | None = None,
) -> Failure | None:
    """The failure in a provider's response; None for a good reply.

    ``body`` is decoded JSON, or the text where it is not JSON; a row of a batch is judged by its own status
    and body. ``now`` (aware) serves waits told as a point in time where the response has no ``date``
    header. Kinds that need the reply's meaning (malformed, invalid, wrong) and budget are never given.
    Never raises.
    """
    status, body = answer_in_row(status, body)
    if status < 400:
        complaint = complaint_in(body)
        if complaint is None:
            return _good_or_not(provider, status, body)
        # Headers of a good response pace; they do not tell this failure's wait.
        headers = {}
        status = complaint.status or IN_STREAM
    else:
        complaint = unwrap(body)
    case = Case(provider=provider.lower(), status=status, complaint=complaint)
    return _failure(case, headers, now)


def _good_or_not(provider: str, status: int, body: object) -> Failure | None:
    if 300 <= status < 400:
        message = "the provider answers with a redirect: check the account's base URL"
        return Failure(kind="bad_request", message=message, status=status)
    return failure_in_reply(provider.lower(), status, body)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A failed response, as the rules see it."""

    provider: str
    status: int
    complaint: Complaint

    @property
    def codes(self) -> frozenset[str]:
        return self.complaint.codes

    def says(self, wording: re.Pattern[str]) -> bool:
        return bool(wording.search(self.complaint.message))

    @property
    def overflow(self) -> Overflow | None:
        # OpenRouter's 402 names prompt tokens and a limit, and means credit.
        if self.status == 402:
            return None
        return overflow_in(self.complaint.message, self.codes)


def _failure(case: Case, headers: Mapping[str, str], now: datetime | None) -> Failure:
    kind = next((kind for kind, fits in RULES if fits(case)), None) or _kind_by_status(case)
    overflow = _sizes(case) if kind == "context_overflow" else Overflow()
    return Failure(
        kind=kind,
        message=_message(case),
        retry_after_s=wait_s(headers, case.complaint, now=now) if kind in WAITING else None,
        limit_tokens=overflow.limit_tokens,
        actual_tokens=overflow.actual_tokens,
        status=case.status or None,
        code=case.complaint.code,
        repair=repair_for(case.complaint, case.status) if kind == "bad_request" else None,
        limit_is_window=overflow.limit_is_window,
    )


def _sizes(case: Case) -> Overflow:
    """The numbers of the message; llama.cpp has them as fields too."""
    said = case.overflow or Overflow()
    fields = case.complaint.fields
    limit, actual = whole(fields.get("n_ctx")), whole(fields.get("n_prompt_tokens"))
    return Overflow(
        limit_tokens=said.limit_tokens if said.limit_tokens is not None else limit,
        actual_tokens=said.actual_tokens if said.actual_tokens is not None else actual,
        limit_is_window=said.limit_is_window,
    )


def _message(case: Case) -> str:
    said = _KEYS.sub("[key]", case.complaint.message)[:500]
    return said or (f"HTTP {case.status} without a message" if case.status else "an error without a message")


# Most providers mask the key that they quote; none of it belongs into a log.
_KEYS = re.compile(r"\b(?:sk|gsk|pk|xai|rk|key|AIza)[-_]?[A-Za-z0-9*_-]{12,}|\*{3,}\w+")


# --- the rules, each a question to a case ---


def _is_overflow(case: Case) -> bool:
    if case.overflow is not None:
        return True
    # Cerebras rejects a request that is too long without a word (docs/providers.md, section 5.2).
    wordless = not case.complaint.message and not case.codes
    return wordless and (case.status == 413 or (case.status == 400 and case.provider == "cerebras"))


QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "insufficient_credits",
        "insufficient_balance",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "exceeded_current_quota_error",
        "payment_required",
    }
)
_QUOTA = re.compile(
    r"credit balance is too low|specified API usage limits|insufficient[ _](?:balance|quota|credits?|funds)"
    r"|requires more credits|can only afford|free-models-per-day|used all available credits|out of credits"
    r"|does(?:n't| not) have any credits"
    r"|(?:monthly|account) spend(?:ing)? limit|billing hard limit",
    re.IGNORECASE,
)
_CURRENT_QUOTA = re.compile(r"exceeded your current quota", re.IGNORECASE)


def _is_quota(case: Case) -> bool:
    if case.status == 402 or case.codes & QUOTA_CODES or case.says(_QUOTA):
        return True
    if any("spend_limit_reached" in code for code in case.codes):
        return True
    if any("perday" in quota.lower() for quota in _quota_ids(case.complaint)):
        return True
    return case.status == 429 and case.says(_CURRENT_QUOTA) and not _is_passing_quota(case)


def _is_passing_quota(case: Case) -> bool:
    """Gemini says of a limit a minute what OpenAI says of an empty account; only it names a wait or the
    limit."""
    told_when = any("retryDelay" in detail for detail in case.complaint.details)
    told_limit = bool(_quota_ids(case.complaint))
    return told_when or told_limit or wait_in_words_s(case.complaint.message) is not None


def _quota_ids(complaint: Complaint) -> list[str]:
    violations = (row for detail in complaint.details for row in mappings(detail.get("violations")))
    return [str(row["quotaId"]) for row in violations if row.get("quotaId")]


FILTER_CODES = frozenset(
    {
        "content_filter",
        "content_filtered",
        "content_policy_violation",
        "invalid_prompt",
        "cyber_policy",
        "bio_policy",
        "misalignment_policy_violation",
        "responsibleaipolicyviolation",
        "moderation_blocked",
    }
)
_FILTER = re.compile(
    r"content filter(?:ing|ed)? polic|safety system|content management policy|content exists risk"
    r"|(?:prompt|input|content|request|message) (?:was|has been|is|were) flagged|input flagged"
    r"|violat\w+ (?:our |the |its )?(?:usage|content|safety) (?:polic|guideline)|content policy violation",
    re.IGNORECASE,
)


def _is_filtered(case: Case) -> bool:
    return bool(case.codes & FILTER_CODES) or case.says(_FILTER)


NOT_FOUND_CODES = frozenset(
    {
        "model_not_found",
        "deploymentnotfound",
        "invalid_model",
        "model_not_available",
        "not_found_error",
        "notfounderror",
        "dedicated_endpoint_not_running",
        "model_decommissioned",
        "model_deprecated",
    }
)
_NOT_FOUND = re.compile(
    r"\bmodels? [^.;]{0,120}?(?:does not exist|not exist|not found|is not available|has been decommissioned)"
    r"|model name is invalid|not a valid model|invalid model\b|unknown model|non-serverless model"
    r"|no models? loaded|cannot find file|dedicated endpoint [^;]{0,200}is not running",
    re.IGNORECASE,
)


def _is_not_found(case: Case) -> bool:
    if case.codes & NOT_FOUND_CODES:
        return True
    return case.status in (400, 403, 404, 422) and case.says(_NOT_FOUND)


AUTH_CODES = frozenset(
    {
        "api_key_invalid",
        "invalid_api_key",
        "authentication_error",
        "permission_error",
        "unauthenticated",
        "permission_denied",
        "service_disabled",
    }
)
_AUTH = re.compile(
    r"user location is not supported|(?:incorrect|invalid) api[ _]key"
    r"|api key (?:not valid|expired|is invalid)",
    re.IGNORECASE,
)


def _is_auth(case: Case) -> bool:
    return case.status in (401, 403) or bool(case.codes & AUTH_CODES) or case.says(_AUTH)


TIMEOUT_CODES = frozenset({"timeout_error", "deadline_exceeded", "request_timeout", "batch_expired"})
_TIMEOUT = re.compile(r"deadline expired", re.IGNORECASE)


def _is_timeout(case: Case) -> bool:
    return bool(case.codes & TIMEOUT_CODES) or case.says(_TIMEOUT)


_OVERLOADED = re.compile(
    r"overloaded|\bcapacity\b|high demand|server (?:is )?busy|loading model|peak load", re.IGNORECASE
)


def _is_overloaded(case: Case) -> bool:
    if case.status in (503, 529) or any("overloaded" in code for code in case.codes):
        return True
    if "resource_unavailable" in case.codes or "slow_down" in case.codes:
        return True
    # A request that is at fault itself may speak of capacity as well.
    its_own_fault = 400 <= case.status < 500 and case.status not in (408, 429, 498, 499)
    return not its_own_fault and case.says(_OVERLOADED)


RATE_CODES = frozenset(
    {
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limit_reached_error",
        "rate_limited",
        "resource_exhausted",
        "too_many_requests",
        "toomanyrequests",
        "token_limit_exceeded",
    }
)


def _is_rate_limited(case: Case) -> bool:
    return case.status == 429 or bool(case.codes & RATE_CODES)


RULES: tuple[tuple[FailureKind, Callable[[Case], bool]], ...] = (
    ("context_overflow", _is_overflow),
    ("quota_exhausted", _is_quota),
    ("content_filtered", _is_filtered),
    ("not_found", _is_not_found),
    ("auth", _is_auth),
    ("timeout", _is_timeout),
    ("overloaded", _is_overloaded),
    ("rate_limited", _is_rate_limited),
)

_CAPABILITY = re.compile(r"no endpoints found that (?:can )?(?:support|handle)", re.IGNORECASE)


def _kind_by_status(case: Case) -> FailureKind:
    if case.status == 404:
        return "bad_request" if case.says(_CAPABILITY) else "not_found"
    if case.status in (408, 499, 504, 524):
        return "timeout"
    if 400 <= case.status < 500 or case.status == 501:
        return "bad_request"
    return "server_error"
