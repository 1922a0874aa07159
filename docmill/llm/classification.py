"""What is wrong with a provider's response: one kind, by rules in the order of docs/providers.md, section 5.1.

The status alone decides nothing: 429 is five different things, and 200 is no success yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from docmill.errors import Failure, FailureKind
from docmill.llm.overflow import Overflow, overflow_in
from docmill.llm.waits import wait_in_words_s, wait_s
from docmill.llm.wire.envelopes import Complaint, unwrap
from docmill.llm.wire.eyes import is_about_pictures
from docmill.llm.wire.repairs import repair_for
from docmill.llm.wire.replies import OpenedResponse, failure_in, is_no_reply
from docmill.llm.wire.shapes import label, mappings, text, whole
from docmill.storable import storable_text

__all__ = ["classify", "classify_opened"]

IN_STREAM = 0
"""Stands for the status of an error that came inside a good response and names none."""

NO_RULE = "simulator_no_rule"
"""The simulator's code for a document in which its rules find nothing."""
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
    """Finds the failure in a provider's response; None for a good reply.

    A reply is good when it has what an answer has, and nothing else makes it so. ``body`` is decoded JSON, or
    the text where it is not JSON; a row of a batch is judged by its own status and body. ``now`` (aware) serves
    waits told as a point in time where the response has no ``date`` header. Kinds that need the reply's meaning
    (malformed, invalid, wrong) and budget are never given.
    Never raises.
    """
    return classify_opened(OpenedResponse.of(provider=provider, status=status, body=body), headers, now)


def classify_opened(
    response: OpenedResponse, headers: Mapping[str, str], now: datetime | None = None
) -> Failure | None:
    """Finds the failure in an opened response, as :func:`classify` does."""
    provider, status, body = response.provider, response.status, response.body
    if status >= 400:
        return _failure(Case(provider=provider, status=status, complaint=unwrap(body)), headers, now)
    complaint = response.complaint
    if complaint is None:
        if 300 <= status < 400:
            message = "the provider answers with a redirect: check the account's base URL"
            return Failure(kind="bad_request", message=message, status=status)
        if response.found is not None and response.reply is not None:
            return failure_in(response.found.draft, response.reply, status=status)
        if is_no_reply(body):
            return None
    complaint = complaint or _no_answer(body)
    # Headers of a good response pace; they do not tell this failure's wait.
    return _failure(Case(provider=provider, status=complaint.status or IN_STREAM, complaint=complaint), {}, now)


def _no_answer(body: object) -> Complaint:
    """What a body complains about that is no answer, nor says that it is an error."""
    complaint = unwrap(body)
    if isinstance(body, str) and body.strip():
        strange = "the response is no JSON: something other than the provider may have answered"
        return replace(complaint, message=f"{strange} ({complaint.message})" if complaint.message else strange)
    is_empty = not body or isinstance(body, str)
    untold = (
        "the response is empty" if is_empty else "the response is neither an answer nor an error that is known"
    )
    return complaint if complaint.message else replace(complaint, message=untold)


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
    def is_challenged(self) -> bool:
        """Whether a proxy, and not the provider, refused the request: its page is no verdict on the key."""
        if self.status == 401:
            return self.complaint.is_page and not self.says(_AUTHORISATION)
        return self.status == 403 and (self.complaint.is_page or self.says(_CHALLENGE))

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
    limit, actual = whole(fields.get("n_ctx")) or None, whole(fields.get("n_prompt_tokens"))
    return Overflow(
        limit_tokens=said.limit_tokens if said.limit_tokens is not None else limit,
        actual_tokens=said.actual_tokens if said.actual_tokens is not None else actual,
        limit_is_window=said.limit_is_window,
    )


def _message(case: Case) -> str:
    said = storable_text(_KEYS.sub("[key]", case.complaint.message), LONGEST_MESSAGE)
    return said or (f"HTTP {case.status} without a message" if case.status else "an error without a message")


# Most providers mask the key that they quote; none of it belongs into a log.
_KEYS = re.compile(r"\b(?:sk|gsk|pk|xai|rk|key|AIza)[-_]?[A-Za-z0-9*_-]{12,}|(?<!\*)\*{3,}+\w+")
LONGEST_MESSAGE = 500


# --- the rules, each a question to a case ---


_OUTPUT_LIMIT = re.compile(
    r"could not finish the message"
    r"|max(?:imum)?[_ ](?:(?:completion|output|new)[_ ])?tokens?(?: limit)?(?: or model output limit)?"
    r" (?:(?:was|were|is|has been|have been) )?(?:reached|hit|exhausted)"
    r"|output (?:token |length )?limit (?:(?:was|is|has been) )?(?:reached|hit|exhausted|exceeded)"
    r"|(?:reached|hit|exceeded) (?:the |its )?(?:max(?:imum)? )?(?:output|completion) (?:tokens? |length )?limit"
    r"|(?:output|completion|response|answer|generation) (?:was|is|has been) (?:truncated|cut off)",
    re.IGNORECASE,
)
OUTPUT_LIMIT_CODES = frozenset({"max_output_tokens_reached", "output_limit_reached", "max_tokens_reached"})


def _is_truncated(case: Case) -> bool:
    """Some count an answer that was cut off as an error of the request (OpenAI's reasoning models)."""
    generated = text(case.complaint.fields.get("failed_generation"))[:LONGEST_MESSAGE]
    if case.codes & OUTPUT_LIMIT_CODES or case.says(_OUTPUT_LIMIT):
        return True
    # Groq says it in the place of what the model wrote.
    return "json_validate_failed" in case.codes and bool(_OUTPUT_LIMIT.search(generated))


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
        "arrearage",
        "allocationquota.freetieronly",
        "servicequotaexceededexception",
    }
)
_QUOTA = re.compile(
    r"credit balance is too low|specified API usage limits|insufficient[ _](?:balance|quota|credits?|funds)"
    r"|requires more credits|can only afford|free-models-per-day|used all available credits|out of credits"
    r"|does(?:n't| not) have any credits"
    r"|(?:monthly|account) spend(?:ing)? limit|billing hard limit|余额不足|欠费|account (?:is )?in arrears",
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
    return [quota for row in violations if (quota := label(row.get("quotaId")))]


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
        "datainspectionfailed",
        "data_inspection_failed",
    }
)
_FILTER = re.compile(
    r"content filter(?:ing|ed)? polic|safety system|content management policy|content exists risk"
    r"|(?:prompt|input|content|request|message) (?:was|has been|is|were) flagged|input flagged"
    r"|violat\w{1,10} (?:our |the |its )?(?:usage|content|safety) (?:polic|guideline)|content policy violation"
    r"|(?:input|output) (?:content )?(?:is )?sensitive|inappropriate content|敏感|违规",
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
        "modelnotfound",
        "resourcenotfoundexception",
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
        "invalidapikey",
        "accessdeniedexception",
        "unrecognizedclientexception",
    }
)
# Cloudflare, Akamai and their like.
_CHALLENGE = re.compile(
    r"just a moment|attention required|cloudflare|captcha|error code: 1\d{3}\b|checking your browser"
    r"|enable javascript and cookies|web application firewall|unusual traffic|incapsula|akamai",
    re.IGNORECASE,
)
_AUTHORISATION = re.compile(r"authori[sz]|authenticat|api[ _-]?key", re.IGNORECASE)
_AUTH = re.compile(
    r"user location is not supported|(?:incorrect|invalid) api[ _]key"
    r"|api key (?:not valid|expired|is invalid)",
    re.IGNORECASE,
)


def _is_auth(case: Case) -> bool:
    if case.is_challenged or (case.status == 403 and case.says(_RATE)):
        return False
    return case.status in (401, 403) or bool(case.codes & AUTH_CODES) or case.says(_AUTH)


TIMEOUT_CODES = frozenset(
    {
        *("timeout_error", "deadline_exceeded", "request_timeout", "batch_expired", "requesttimeout"),
        *("internalerror.timeout", "modeltimeoutexception"),
    }
)
_TIMEOUT = re.compile(r"deadline expired", re.IGNORECASE)


def _is_timeout(case: Case) -> bool:
    return bool(case.codes & TIMEOUT_CODES) or case.says(_TIMEOUT)


_OVERLOADED = re.compile(
    r"overloaded|\bcapacity\b|high demand|server (?:is )?busy|loading model|peak load"
    r"|model [^.;]{0,120}?(?:loading|not ready|warming up)|服务繁忙|过载",
    re.IGNORECASE,
)


def _is_overloaded(case: Case) -> bool:
    if case.status in (503, 529) or any("overloaded" in code for code in case.codes):
        return True
    if case.codes & {"resource_unavailable", "slow_down", "modelnotreadyexception", "serviceunavailable"}:
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
_RATE = re.compile(
    r"rate[ _-]?limit|too many (?:requests|tokens)|requests? per (?:second|minute|day)|(?:rpm|tpm|qps) limit"
    r"|throttl|请求过多|频率|并发",
    re.IGNORECASE,
)


def _is_rate_limited(case: Case) -> bool:
    if case.status == 429 or case.codes & RATE_CODES:
        return True
    return any(code.startswith("throttling") for code in case.codes) or (case.status == 403 and case.says(_RATE))


def _is_about_pictures(case: Case) -> bool:
    """Whatever the status: a picture that was not taken once is not taken the next time either."""
    return case.status not in (401, 402, 403, 429) and is_about_pictures(case.complaint.message)


RULES: tuple[tuple[FailureKind, Callable[[Case], bool]], ...] = (
    ("no_rule", lambda case: NO_RULE in case.codes),
    ("bad_request", _is_about_pictures),
    ("truncated", _is_truncated),
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

# What a good status says in words alone, for want of a status or a code that would say it.
IN_WORDS: Mapping[FailureKind, re.Pattern[str]] = {
    "rate_limited": _RATE,
    "quota_exhausted": re.compile(
        r"insufficient|quota|usage limit|out of credit|recharge|top up|充值|额度", re.IGNORECASE
    ),
    "auth": re.compile(
        r"unauthori[sz]ed|authenticat|invalid (?:access |bearer |auth )?(?:token|key)|login fail|api[ _]?key"
        r"|permission denied|access denied|鉴权|认证",
        re.IGNORECASE,
    ),
    "timeout": re.compile(r"time(?:d)?[ -]?out|超时", re.IGNORECASE),
    "overloaded": re.compile(
        r"unavailable|busy|overload|loading|starting up|warming up|try again later|繁忙|稍后", re.IGNORECASE
    ),
    "bad_request": re.compile(
        r"invalid (?:\w{1,20} )?(?:param|argument|request|value|format)|(?:field|parameter) (?:is )?required"
        r"|extra inputs|unprocessable|参数",
        re.IGNORECASE,
    ),
}
GENERATION_CODES = frozenset(
    {"generation", "incomplete_generation", "modelerrorexception", "modelstreamerrorexception"}
)
"""The model failed, and not the request, whatever the status says (TGI, Bedrock: 424)."""


def _kind_by_status(case: Case) -> FailureKind:
    if case.status == IN_STREAM:
        return next((kind for kind, words in IN_WORDS.items() if case.says(words)), "server_error")
    if case.status == 404:
        return "bad_request" if case.says(_CAPABILITY) else "not_found"
    if case.status in (408, 499, 504, 524):
        return "timeout"
    if case.is_challenged or case.codes & GENERATION_CODES:
        return "server_error"
    if 400 <= case.status < 500 or case.status == 501:
        return "bad_request"
    return "server_error"
