"""What a provider complains about, out of whatever envelope it came in.

The shapes (docs/providers.md, section 1): ``{"error": {…}}``, ``{"error": "text"}``, ``{"message"}``,
``{"detail"}`` as text or list, flat ``{"object": "error"}``, ``{"base_resp"}``, a list of one, plain text, HTML,
nothing. A gateway wraps the error of the provider behind it as JSON in a string; both are read, the inner one
first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from docmill.llm.wire.bodies import decoded
from docmill.llm.wire.codes import meaning_of
from docmill.llm.wire.shapes import at, label, listed, mapping, mappings, sequence, text, whole
from docmill.storable import storable_text

__all__ = ["Complaint", "complaint_in", "unwrap"]

LONGEST_MESSAGE = 4000
DEEPEST_NESTING = 3

CODE_KEYS = (
    *("code", "type", "status", "reason", "error_code", "error_type", "errorCode", "errorType", "__type", "Code"),
    *("errcode", "errorcode"),
)
MESSAGE_KEYS = (
    *("message", "Message", "msg", "detail", "title", "errorMessage", "error_message", "error_msg", "errorMsg"),
    *("status_msg", "error_description", "faultstring", "description"),
)
INNER_KEYS = ("innererror", "inner_error")
ERRORS = (
    *("error", "Error", "Response.Error", "ResponseMetadata.Error", "result.error", "data.error", "detail.error"),
    *("fault", "exception", "detail", "header", "base_resp"),
)
"""Where makers and gateways have the error; under the last four only where an object is there."""
NO_ERROR = frozenset({"", "0", "200", "none", "null", "false", "ok", "success", "successful"})
"""What some write into the place of an error where there is none."""
WRAPPERS = ("response", "result", "data", "body")
"""Under these a gateway puts whole what it was answered."""
HIGHEST_STATUS = 599

# gRPC's canonical codes, by name and by number, as the HTTP status that each stands for (google.rpc.Code).
CANONICAL_STATUS = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "cancelled": 499,
    "internal": 500,
    "unknown": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
# fmt: off
GRPC_STATUS = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 7: 403, 8: 429, 9: 400, 11: 400, 13: 500, 14: 503, 16: 401,
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Complaint:
    """An error, out of its envelope."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    """Every code, type, status name and reason that it carries, in lower case."""
    code: str | None = None
    """The one to show: the provider's own code, else its type."""
    param: str | None = None
    details: tuple[Mapping[str, Any], ...] = ()
    """``details`` of google.rpc, ``detail`` of FastAPI, and the like, one after another."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The error object itself."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that a gateway quotes in the body (OpenRouter)."""
    status: int | None = None
    """The HTTP status that the body itself names."""
    is_page: bool = False
    """Whether it is a web page, which is somebody else's word than the provider's."""


def unwrap(body: object, *, depth: int = 0) -> Complaint:
    """The complaint in a body known to be an error. Never raises; an unknown shape is an empty complaint."""
    if isinstance(body, str):
        return _from_text(body, depth)
    if isinstance(body, list):
        return unwrap(next(iter(mappings(body)), {}), depth=depth)
    if not isinstance(body, dict):
        return Complaint()
    return _from_object(body, depth)


def complaint_in(body: object) -> Complaint | None:
    """Finds the complaint in a body that came with a good status; None where nothing in it says so.

    ``body`` is opened (:mod:`docmill.llm.wire.bodies`): an event that holds an error has left it in the whole.
    """
    if isinstance(body, list):
        first = mapping(next(iter(body), None))
        return unwrap(body) if _is_error(first) else None
    if _is_error(mapping(body)):
        return unwrap(body)
    # An event of the Responses shape, or a gateway's object, that holds the response that failed.
    for name in WRAPPERS:
        inner = mapping(body).get(name)
        inner = decoded(inner) if isinstance(inner, str) and inner.lstrip().startswith("{") else inner
        if _is_error(mapping(inner)):
            return unwrap(inner)
    # OpenRouter: the provider behind it failed while it answered.
    error = mapping(next(iter(listed(mapping(body).get("choices"))), None)).get("error")
    return unwrap({"error": error}) if _says_error(error) else None


def _is_error(body: Mapping[str, Any]) -> bool:
    if _says_error(body.get("error")) or body.get("type") == "error" or body.get("object") == "error":
        return True
    if body.get("success") in (False, "false") or body.get("ok") is False:
        return True
    if label(at(body, "base_resp.status_code")) not in NO_ERROR:
        return True
    if any(isinstance(at(body, path), dict) for path in ("Response.Error", "ResponseMetadata.Error", "fault")):
        return True
    return body.get("status") == "failed" and bool(_listed_errors(body))


def _says_error(error: object) -> bool:
    """Whether what stands in the place of an error is one: some write there that there is none."""
    if isinstance(error, str):
        return error.strip().lower() not in NO_ERROR
    if isinstance(error, dict):
        told = [label(error.get(key)).lower() for key in (*CODE_KEYS, *MESSAGE_KEYS) if key in error]
        return bool(error) and (not told or any(each not in NO_ERROR for each in told))
    return bool(error)


def _listed_errors(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    errors = body.get("errors")
    return mappings(errors) or mappings(mapping(errors).get("data"))


def _from_text(body: str, depth: int) -> Complaint:
    inner = _nested(body, depth)
    if inner is not None:
        return inner
    if _PAGE.search(body[:2000]):
        return Complaint(message=_title(body), is_page=True)
    return Complaint(message=_short(body))


def _from_object(body: Mapping[str, Any], depth: int) -> Complaint:
    complaint = _complaint_of(body, depth)
    meaning = meaning_of(body)
    if meaning is None:
        return complaint
    return replace(complaint, codes=complaint.codes | {meaning.word}, status=complaint.status or meaning.status)


def _complaint_of(body: Mapping[str, Any], depth: int) -> Complaint:
    error = next((found for path in ERRORS if _says_error(found := _error_at(body, path))), None)
    if isinstance(error, str):
        own = _complaint({**body, "message": error})
        return _joined(_nested(error, depth), own)
    if isinstance(error, dict):
        beside = _codes(body)
        return _joined(_inner(error, depth), _complaint(error, beside=beside))
    found = _listed_errors(body)
    if found:
        complaint = _complaint(found[0], beside=_codes(body))
        # A batch that failed was rejected as a whole: the request is at fault, whatever its own number says.
        return replace(complaint, status=400) if body.get("status") == "failed" else complaint
    return _joined(_inner(body, depth), _complaint(body))


def _error_at(body: Mapping[str, Any], path: str) -> object:
    """The error at a place: the first where several stand there, none where what stands there may be no error."""
    error = at(body, path)
    if isinstance(error, list):
        error = next((each for each in error if isinstance(each, dict | str)), None)
        return None if path == "detail" else error
    return error if isinstance(error, dict) or path in ("error", "Error") else None


def _inner(error: Mapping[str, Any], depth: int) -> Complaint | None:
    """The error of the provider behind a gateway, or one that was put whole into a message."""
    for value in (mapping(error.get("metadata")).get("raw"), error.get("message"), error.get("error")):
        inner = _nested(value, depth)
        if inner is not None:
            return inner
    raw = text(mapping(error.get("metadata")).get("raw"))
    return Complaint(message=_short(raw)) if raw else None


def _nested(value: object, depth: int) -> Complaint | None:
    if depth >= DEEPEST_NESTING:
        return None
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = decoded(value)
    if isinstance(value, dict | list) and value:
        return unwrap(value, depth=depth + 1)
    return None


def _joined(inner: Complaint | None, outer: Complaint) -> Complaint:
    if inner is None:
        return outer
    both = (inner.message, outer.message)
    return Complaint(
        message="; ".join(dict.fromkeys(part for part in both if part and part[:1] not in "{[")),
        codes=inner.codes | outer.codes,
        code=inner.code or outer.code,
        param=inner.param or outer.param,
        details=inner.details + outer.details,
        fields={**outer.fields, **inner.fields},
        is_page=inner.is_page or outer.is_page,
        headers={**inner.headers, **outer.headers},
        status=outer.status or inner.status,
    )


def _complaint(error: Mapping[str, Any], *, beside: frozenset[str] = frozenset()) -> Complaint:
    details = _details(error)
    return Complaint(
        message=_message(error, details),
        codes=_codes(error) | beside | frozenset().union(*(_codes(item) for item in details)),
        code=_shown_code(error),
        param=_param(error, details),
        details=details,
        fields=error,
        headers=_quoted_headers(error),
        status=_status(error),
    )


def _details(error: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    found: list[Mapping[str, Any]] = []
    for key in ("details", "detail", "errors"):
        value = error.get(key)
        found += [value] if isinstance(value, dict) else mappings(value)
    return tuple(found)


def _message(error: Mapping[str, Any], details: tuple[Mapping[str, Any], ...]) -> str:
    for key in MESSAGE_KEYS:
        if text(error.get(key)):
            return _short(error[key])
    told = [text(each) for each in sequence(error.get("errors"))]
    return _short("; ".join(filter(None, [*map(_detail_message, details), *told])))


def _detail_message(detail: Mapping[str, Any]) -> str:
    """A FastAPI row as text: its place and rule, never its ``input``, which may hold the document."""
    place = ".".join(label(part) for part in sequence(detail.get("loc")))
    rule = text(detail.get("msg")) or text(detail.get("message"))
    return f"{place}: {rule}" if place and rule else rule or place


def _codes(error: Mapping[str, Any]) -> frozenset[str]:
    own = [error.get(key) for key in CODE_KEYS]
    own += [mapping(error.get(key)).get("code") for key in INNER_KEYS]
    return frozenset(filter(None, (label(code).lower() for code in own)))


def _shown_code(error: Mapping[str, Any]) -> str | None:
    shown = (
        label(error.get(key)) for key in ("code", "status", "type", "error_type", "error_code", "status_code")
    )
    return next((code[:100] for code in shown if code), None)


def _param(error: Mapping[str, Any], details: tuple[Mapping[str, Any], ...]) -> str | None:
    violations = (row for item in details for row in mappings(item.get("fieldViolations")))
    named = (label(error.get("param")), *(label(row.get("field")) for row in violations))
    return next(filter(None, named), None)


def _quoted_headers(error: Mapping[str, Any]) -> dict[str, str]:
    quoted = mapping(mapping(error.get("metadata")).get("headers"))
    return {label(name): label(value) for name, value in quoted.items()}


def _status(error: Mapping[str, Any]) -> int | None:
    for key in ("status", "code", "status_code", "statusCode", "Code"):
        value = error.get(key)
        named = CANONICAL_STATUS.get(value.lower()) if isinstance(value, str) else None
        if named is not None:
            return named
        code = whole(value, HIGHEST_STATUS)
        if code is not None and (code >= 400 or (code in GRPC_STATUS and "msg" not in error)):
            return GRPC_STATUS.get(code, code)
    return None


_PAGE = re.compile(r"<(?:!doctype html|html|head|body|title)\b", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)


def _title(page: str) -> str:
    title = _TITLE.search(page[:20_000])
    return _short(title.group(1)) if title else "a web page instead of an answer"


def _short(message: str) -> str:
    return storable_text(" ".join(message[: 2 * LONGEST_MESSAGE].split()), LONGEST_MESSAGE)
